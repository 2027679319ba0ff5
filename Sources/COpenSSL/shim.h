// OpenSSL for Swift: the headers, and `static inline` wrappers for what Swift cannot import
// (function-like macros, varargs). No logic lives here.
#pragma once
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// Macros over SSL_CTX_ctrl.
static inline long mesh_SSL_CTX_set_mode(SSL_CTX *context, long mode) {
    return SSL_CTX_set_mode(context, mode);
}
static inline int mesh_SSL_CTX_set_min_proto_version(SSL_CTX *context, int version) {
    return (int)SSL_CTX_set_min_proto_version(context, version);
}
static inline void mesh_SSL_CTX_set_read_ahead(SSL_CTX *context, int on) {
    SSL_CTX_set_read_ahead(context, on);
}
static inline void mesh_SSL_CTX_set_session_cache_mode(SSL_CTX *context, long mode) {
    SSL_CTX_set_session_cache_mode(context, mode);
}
static inline void mesh_SSL_CTX_set_max_cert_list(SSL_CTX *context, long bytes) {
    SSL_CTX_set_max_cert_list(context, bytes);
}
static inline int mesh_SSL_CTX_set1_groups_list(SSL_CTX *context, const char *list) {
    return (int)SSL_CTX_set1_groups_list(context, list);
}
static inline int mesh_SSL_CTX_add1_chain_cert(SSL_CTX *context, X509 *certificate) {
    return (int)SSL_CTX_add1_chain_cert(context, certificate);
}
static inline int mesh_SSL_CTX_set_tlsext_ticket_keys(SSL_CTX *context, void *keys, long bytes) {
    return (int)SSL_CTX_set_tlsext_ticket_keys(context, keys, bytes);
}

// Macros over BIO_set_flags / BIO_clear_flags / BIO_ctrl.
static inline void mesh_BIO_set_retry_read(BIO *bio) { BIO_set_retry_read(bio); }
static inline void mesh_BIO_clear_retry_flags(BIO *bio) { BIO_clear_retry_flags(bio); }
static inline long mesh_BIO_get_mem_data(BIO *bio, char **start) {
    return BIO_get_mem_data(bio, start);
}

// Varargs behind a macro.
static inline EVP_PKEY *mesh_EVP_P256_gen(void) { return EVP_EC_gen("P-256"); }

// Macros over casts: the typed stacks.
static inline int mesh_sk_GENERAL_NAME_num(const GENERAL_NAMES *names) {
    return sk_GENERAL_NAME_num(names);
}
static inline GENERAL_NAME *mesh_sk_GENERAL_NAME_value(const GENERAL_NAMES *names, int index) {
    return sk_GENERAL_NAME_value(names, index);
}
static inline int mesh_sk_X509_num(const STACK_OF(X509) *chain) { return sk_X509_num(chain); }
static inline X509 *mesh_sk_X509_value(const STACK_OF(X509) *chain, int index) {
    return sk_X509_value(chain, index);
}
// `d` is a union that Swift imports without its anonymous tags' ownership; a reader is clearer.
static inline const ASN1_IA5STRING *mesh_GENERAL_NAME_uri(const GENERAL_NAME *name) {
    return name->type == GEN_URI ? name->d.uniformResourceIdentifier : NULL;
}

// A macro that adds file and line.
static inline void mesh_OPENSSL_free(void *memory) { OPENSSL_free(memory); }

// The flag is a macro of casts and other macros.
static inline int mesh_X509_NAME_print_rfc2253(BIO *bio, const X509_NAME *name) {
    return X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
}

// Options are macros of a shift with a cast.
static const uint64_t mesh_SSL_OP_NO_RENEGOTIATION = SSL_OP_NO_RENEGOTIATION;
static const uint64_t mesh_SSL_OP_NO_COMPRESSION = SSL_OP_NO_COMPRESSION;
static const uint64_t mesh_SSL_OP_CIPHER_SERVER_PREFERENCE = SSL_OP_CIPHER_SERVER_PREFERENCE;
static const uint64_t mesh_SSL_OP_IGNORE_UNEXPECTED_EOF = SSL_OP_IGNORE_UNEXPECTED_EOF;
