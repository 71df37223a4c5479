/*
** h5.h -- HDF5 files of which nothing is trusted, and HDF5 files that are
** complete or not there. All of HDF5 that the rest of the program sees.
**
** Members are named by path ("obs/condition/codes"), without a slash in front,
** "" is the root; a field of a table (compound dataset) by path and 'field',
** which is NULL for everything else. Messages are "FILE: MEMBER: what". What a
** file says wrong is DYN_EFORMAT, what the world does DYN_EIO.
*/
#ifndef DYN_H5_H
#define DYN_H5_H

#include "core/base.h"
#include "io/textlist.h"

enum {
  DYN_H5_MAXRANK = 8,
  DYN_H5_MAXDEPTH = 64,
  DYN_H5_PATH = 1200,
  DYN_H5_MAXNAME = 65535
};

typedef struct dyn_h5 dyn_h5;

typedef enum dyn_h5_kind {
  DYN_H5_ABSENT,
  DYN_H5_GROUP,
  DYN_H5_DATA,
  DYN_H5_OTHER
} dyn_h5_kind;

typedef enum dyn_h5_class {
  DYN_H5_STRANGE, /* references, opaque, complex, ... */
  DYN_H5_INTEGER,
  DYN_H5_FLOAT,
  DYN_H5_BOOLEAN, /* the enumeration FALSE, TRUE */
  DYN_H5_TEXT,
  DYN_H5_TABLE /* compound */
} dyn_h5_class;

typedef struct dyn_h5_info {
  dyn_h5_kind kind;
  dyn_h5_class type;
  bool null;                   /* a dataset without a dataspace: no value */
  int rank;                    /* 0: one value */
  int64_t dim[DYN_H5_MAXRANK]; /* a field that is an array adds dimensions */
  int64_t count;               /* product of dim */
  size_t item;                 /* bytes of one in the file */
} dyn_h5_info;

/* ---- reading -------------------------------------------------------------- */

/*
** Open for reading. Sizes above 'limit' bytes (0: 80% of the machine's memory)
** are refused later on. The whole structure is walked once: external links and
** storage, virtual datasets, loops, links to nowhere, depth above 64 are
** DYN_EFORMAT. Time O(members). 'path' is copied.
*/
DYN_STATUS dyn_h5_open(dyn_h5 **f, const char *path, size_t limit, dyn_err *e);
/* Close and forget; a file that was being written is removed. NULL is fine. */
void dyn_h5_close(dyn_h5 *f);
const char *dyn_h5_name(const dyn_h5 *f); /* as it was opened */
size_t dyn_h5_limit(const dyn_h5 *f);     /* bytes */
size_t dyn_h5_usual_limit(void);          /* 80% of the machine's memory */

/* From now on the member being read is named in buf[DYN_H5_PATH]; NULL: not. */
void dyn_h5_progress(dyn_h5 *f, char *buf);

/* "FILE: MEMBER: ..." ('member' may be NULL or "") into 'e'; returns 'st'. */
__attribute__((format(printf, 5, 6))) DYN_STATUS
dyn_h5_fail(const dyn_h5 *f, dyn_err *e, dyn_status st, const char *member,
            const char *fmt, ...);
/* "a/b" into buf; DYN_EFORMAT if it does not fit or b has a slash. */
DYN_STATUS dyn_h5_join(const dyn_h5 *f, char buf[DYN_H5_PATH], const char *a,
                       const char *b, dyn_err *e);
/* DYN_EFORMAT, with the numbers, unless n items of 'size' bytes fit. */
DYN_STATUS dyn_h5_fits(const dyn_h5 *f, const char *member, int64_t n,
                       size_t size, dyn_err *e);

/* What is there; kind DYN_H5_ABSENT is not an error. */
DYN_STATUS dyn_h5_stat(dyn_h5 *f, const char *path, const char *field,
                       dyn_h5_info *info, dyn_err *e);
/* Names in a group, or fields of a table in their order, added to 'names'. */
DYN_STATUS dyn_h5_members(dyn_h5 *f, const char *path, dyn_textlist *names,
                          dyn_err *e);
/*
** Rows lo .. lo+n-1 of the first dimension (all of a scalar: 0, 1), converted
** by the library, row-major; 'items' is the room in 'out' and must be what the
** rows hold. DYN_EFORMAT: not numbers, damaged. float: infinite where a double
** does not fit; int: the nearest.
*/
typedef enum dyn_h5_mem {
  DYN_H5_I8,
  DYN_H5_I32,
  DYN_H5_I64,
  DYN_H5_F32,
  DYN_H5_F64
} dyn_h5_mem;
DYN_STATUS dyn_h5_read(dyn_h5 *f, const char *path, const char *field,
                       dyn_h5_mem type, int64_t lo, int64_t n, size_t items,
                       void *out, dyn_err *e);
/* All strings of a scalar or list, appended; each at most 'longest' bytes. */
DYN_STATUS dyn_h5_texts(dyn_h5 *f, const char *path, const char *field,
                        size_t longest, dyn_textlist *out, dyn_err *e);

/* Strings of an attribute, appended to 'out'; *found false if absent. An empty
** list counts as one of strings, whatever its type. */
DYN_STATUS dyn_h5_attr_texts(dyn_h5 *f, const char *path, const char *name,
                             dyn_textlist *out, bool *found, dyn_err *e);
/* The same for a single short string; "" if absent. */
DYN_STATUS dyn_h5_attr_text(dyn_h5 *f, const char *path, const char *name,
                            char *buf, size_t room, dyn_err *e);
/* Integers of an attribute: *n is how many there are (-1: no such attribute),
** the first 'max' of them are read. */
DYN_STATUS dyn_h5_attr_ints(dyn_h5 *f, const char *path, const char *name,
                            int64_t *v, int max, int *n, dyn_err *e);
/* The path of the object that a reference names; "" if there is none. */
DYN_STATUS dyn_h5_attr_ref(dyn_h5 *f, const char *path, const char *name,
                           char buf[DYN_H5_PATH], dyn_err *e);

/* ---- writing -------------------------------------------------------------- */

/*
** A new file beside 'path', under a temporary name until dyn_h5_commit. The
** first 'block' bytes (0, 512, 1024, ...) are left for the caller. Same
** content in the same order, same bytes.
*/
DYN_STATUS dyn_h5_create(dyn_h5 **f, const char *path, size_t block,
                         dyn_err *e);
DYN_STATUS dyn_h5_group(dyn_h5 *f, const char *path, dyn_err *e);
/* rank 0 is a scalar. Stored as 'type' (bool: I8 as FALSE, TRUE), little-endian,
** gzip 4 with shuffle and checksum where that pays. */
DYN_STATUS dyn_h5_put(dyn_h5 *f, const char *path, dyn_h5_mem type,
                      bool boolean, int rank, const int64_t *dim,
                      const void *data, dyn_err *e);
/* n strings (n < 0: one, as a scalar) as variable-length UTF-8. */
DYN_STATUS dyn_h5_put_texts(dyn_h5 *f, const char *path, int64_t n,
                            const dyn_textlist *v, dyn_err *e);
DYN_STATUS dyn_h5_put_attr_text(dyn_h5 *f, const char *path, const char *name,
                                const char *v, dyn_err *e);
DYN_STATUS dyn_h5_put_attr_texts(dyn_h5 *f, const char *path, const char *name,
                                 const dyn_textlist *v, dyn_err *e);
DYN_STATUS dyn_h5_put_attr_ints(dyn_h5 *f, const char *path, const char *name,
                                const int64_t *v, int n, dyn_err *e);
DYN_STATUS dyn_h5_put_attr_bool(dyn_h5 *f, const char *path, const char *name,
                                bool v, dyn_err *e);
/* No more members: HDF5 writes everything and lets go of the file. */
DYN_STATUS dyn_h5_seal(dyn_h5 *f, dyn_err *e);
const char *dyn_h5_temp(const dyn_h5 *f); /* the temporary name */
/* Put n <= 'block' bytes at the start of a sealed file. */
DYN_STATUS dyn_h5_stamp(dyn_h5 *f, const void *p, size_t n, dyn_err *e);
/*
** Sync a sealed file, read back everything written and compare, give it its
** name, sync the folder. DYN_EIO: no file has changed.
*/
DYN_STATUS dyn_h5_commit(dyn_h5 *f, dyn_err *e);

#endif
