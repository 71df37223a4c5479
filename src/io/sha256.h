/* sha256.h -- digests of buffers and files, through libmd. */
#ifndef DYN_SHA256_H
#define DYN_SHA256_H

#include "core/base.h"

#define DYN_SHA256_LEN 65 /* 64 hexadecimal digits and a NUL */
#define DYN_MD5_LEN    33

/* The digest of n bytes, in lower-case hexadecimal. Time O(n). */
void dyn_sha256(char out[DYN_SHA256_LEN], const void *p, size_t n);
/*
** The digest of the bytes of the file from offset 'from' to its end; '*size'
** (may be NULL) is their number. DYN_EIO: it cannot be read. 64 KiB of memory.
*/
DYN_STATUS dyn_sha256_file(char out[DYN_SHA256_LEN], const char *path,
                           int64_t from, int64_t *size, dyn_err *e);
/*
** MD5 (RFC 1321) of a whole file: archives publish it beside their files. It
** finds damage, not malice. DYN_EIO: it cannot be read.
*/
DYN_STATUS dyn_md5_file(char out[DYN_MD5_LEN], const char *path, dyn_err *e);

#endif
