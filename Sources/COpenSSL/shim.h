// OpenSSL for Swift: the headers, and `static inline` wrappers for what Swift cannot import
// (function-like macros). No logic lives here.
#pragma once
#include <openssl/ssl.h>
