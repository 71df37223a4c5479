/*
** text.h -- the bytes of a text file: reading, unpacking (gzip, zstd), what
** kind of file it is by its first bytes, UTF-8. Content decides, never the name.
*/
#ifndef DYN_TEXT_H
#define DYN_TEXT_H

#include "core/base.h"
#include "io/textlist.h"

typedef struct dyn_text { /* {0} is empty */
  char *data;             /* 'len' bytes, then a NUL */
  size_t len, room;
} dyn_text;

/* Empties 't'; safe to call twice. */
void dyn_text_free(dyn_text *t);

/*
** The whole file at 'path', unpacked ("-": standard input). 'limit' is the most
** bytes of either form, 0 means dyn_text_limit(). DYN_EIO: the system says why;
** DYN_EFORMAT: damaged, truncated or too large when unpacked, bzip2, xz.
*/
DYN_STATUS dyn_text_read(const char *path, size_t limit, dyn_text *out,
                         dyn_err *e);

/* The bytes of the file as they are; at most 'head' of them unless it is 0. */
DYN_STATUS dyn_text_raw(const char *path, size_t head, size_t limit,
                        dyn_text *out, dyn_err *e);

/*
** gzip (members may be concatenated, checksums are checked, zeros may follow)
** and zstd, up to three layers; other bytes are copied. With 'head' unpacking
** stops after that many bytes and a truncated input is no error.
*/
DYN_STATUS dyn_text_unpack(const char *file, const char *raw, size_t n,
                           size_t head, size_t limit, dyn_text *out,
                           dyn_err *e);

/* 3/4 of the machine's memory, or 2/5 of what --max-memory leaves. */
size_t dyn_text_limit(void);

/*
** What a file is by its first bytes: "h5", "gzip", "zstd", "bzip2", "xz",
** "zip", "npy", "safetensors", "mex", "pickle", "dynamo", "parquet", "rds",
** "mat"; NULL: none of these, probably text.
*/
const char *dyn_signature(const char *s, size_t n);

/*
** Look before reading as text: DYN_EFORMAT names the kind if it is a binary
** file, UTF-16, has bare carriage returns as line ends, or a line of more than
** 64 MiB (1/8 of dyn_text_limit() if that is less). Drops a BOM.
*/
DYN_STATUS dyn_text_check(const char *file, const char **s, size_t *n,
                          dyn_err *e);

#define DYN_SHOWN 96
/* The text with control and wrong bytes as \xNN, shortened, for messages. */
const char *dyn_shown(char buf[DYN_SHOWN], const char *s, size_t n);
/* "12.8 GiB" */
const char *dyn_bytes(char buf[32], double n);

#endif
