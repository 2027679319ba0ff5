// nghttp2 for Swift: the header, and `static inline` wrappers for what Swift cannot import. No logic
// lives here.
#pragma once
#include <nghttp2/nghttp2.h>

// Security updates added these two to releases that did not have them, without a new version number:
// weak, so that the proxy links against every one, and asks at run time.
#pragma weak nghttp2_option_set_stream_reset_rate_limit
#pragma weak nghttp2_option_set_max_continuations
void nghttp2_option_set_stream_reset_rate_limit(
    nghttp2_option *option, uint64_t burst, uint64_t rate);
void nghttp2_option_set_max_continuations(nghttp2_option *option, size_t count);

static inline void mesh_nghttp2_option_set_stream_reset_rate_limit(
    nghttp2_option *option, uint64_t burst, uint64_t rate) {
    if (nghttp2_option_set_stream_reset_rate_limit) {
        nghttp2_option_set_stream_reset_rate_limit(option, burst, rate);
    }
}
static inline void mesh_nghttp2_option_set_max_continuations(nghttp2_option *option, size_t count) {
    if (nghttp2_option_set_max_continuations) {
        nghttp2_option_set_max_continuations(option, count);
    }
}
