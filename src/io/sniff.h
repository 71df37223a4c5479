/* sniff.h -- what a file is, by its content, with the reason. */
#ifndef DYN_SNIFF_H
#define DYN_SNIFF_H

#include "core/base.h"

typedef struct dyn_sniffed {
  char kind[32];    /* "h5", "edges", "gzip:gmt", ...; see dyn_sniff */
  char reason[256]; /* one line: what was seen */
  char hint[400];   /* how to read or convert it; "" if nothing is needed */
} dyn_sniffed;

/*
** Kinds: h5 npy npz safetensors mex dynamo json; text: edges long wide vectors
** gmt table text empty; read by nobody, with the command that converts as the
** hint: pickle torch parquet rds mat xlsx zarr zip bzip2 xz utf16 binary;
** directory. gzip and zstd are unpacked first and named: "gzip:edges". Reads
** the first MiB at most. DYN_EIO: there is no such file.
*/
DYN_STATUS dyn_sniff(const char *path, dyn_sniffed *out, dyn_err *e);

/* The same for the first n bytes of a file; 'cut': there are more. */
DYN_STATUS dyn_sniff_bytes(const char *path, const char *s, size_t n, bool cut,
                           dyn_sniffed *out, dyn_err *e);

#endif
