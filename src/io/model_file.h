/*
** model_file.h -- model.dynamo: a block of 512 bytes with length and SHA-256 of
** the rest, and an HDF5 file. Damage is seen before HDF5 sees a byte; equal
** contents are equal files. A container of named members: what they mean is
** said elsewhere.
*/
#ifndef DYN_MODEL_FILE_H
#define DYN_MODEL_FILE_H

#include "core/tensor.h"
#include "io/sha256.h"
#include "io/textlist.h"

enum {
  DYN_MODEL_FORMAT = 1 /* what we write, and the newest we read */
};

typedef enum dyn_model_kind {
  DYN_MODEL_STRING, /* text[0]; "config" is an attribute of the root */
  DYN_MODEL_LIST,
  DYN_MODEL_TENSOR
} dyn_model_kind;

typedef struct dyn_model_part {
  dyn_model_kind kind;
  dyn_textlist text;
  dyn_tensor tensor;
} dyn_model_part;

/* Part i is called name i: a path, "genes/symbol". {0} is empty. */
typedef struct dyn_model {
  dyn_textlist name;
  dyn_model_part *part;
  int64_t room;    /* of 'part'; the parts in use are name.n */
  char writer[32]; /* version that wrote the file */
  int64_t bytes;   /* after the block */
  char sha256[DYN_SHA256_LEN];
} dyn_model;

void dyn_model_free(dyn_model *m);
/* A new empty part, to be filled. DYN_EVALUE: name not a path, or taken. */
DYN_STATUS dyn_model_add(dyn_model *m, const char *name, dyn_model_kind kind,
                         dyn_model_part **part, dyn_err *e);
/*
** Write all parts, sorted by name; the file is old or new, never half. Tensors
** of up to 6 dimensions keep their type. DYN_EVALUE: a name that is also the
** beginning of another's path.
*/
DYN_STATUS dyn_model_write(const char *path, const dyn_model *m, dyn_err *e);
/*
** Read and check all of it. DYN_EFORMAT: not a model, truncated, damaged, of a
** newer format. Integers become double. Memory: the contents.
*/
DYN_STATUS dyn_model_read(dyn_model *m, const char *path, dyn_err *e);

#endif
