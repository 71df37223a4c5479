/* Private to h5_plan.c and h5_chunks.c: what a plan knows. No HDF5 here. */
#ifndef DYN_H5_PLAN_LIB_H
#define DYN_H5_PLAN_LIB_H

#include <sys/types.h>

#include "io/h5_plan.h"

/* Numbers in the file: those that H5Dread gives the same way. */
typedef enum dyn_h5_number {
  DYN_H5_N_I8,
  DYN_H5_N_U8,
  DYN_H5_N_I16,
  DYN_H5_N_U16,
  DYN_H5_N_I32,
  DYN_H5_N_U32,
  DYN_H5_N_I64,
  DYN_H5_N_F32,
  DYN_H5_N_F64,
  DYN_H5_N_NONE
} dyn_h5_number;

enum {
  DYN_H5_MAXFILTERS = 4,
  DYN_H5_MAXPARAMS = 8
};

typedef struct dyn_h5_stage {
  int id; /* of the filter */
  size_t nparam;
  unsigned param[DYN_H5_MAXPARAMS];
} dyn_h5_stage;

/* A chunk as it lies in the file; size 0: never written, all zero. */
typedef struct dyn_h5_piece {
  off_t at;
  uint32_t size;
  uint32_t skipped; /* filters that were not applied, one bit each */
} dyn_h5_piece;

struct dyn_h5_plan {
  int fd;
  size_t dim[2], chunk[2]; /* a vector has one column */
  size_t item, bytes;      /* of a number, of a whole chunk */
  dyn_h5_number from;
  int nstages;
  dyn_h5_stage stage[DYN_H5_MAXFILTERS];
  size_t first, rows, across; /* rows of chunks that are known, and columns */
  dyn_h5_piece *piece;        /* (rows, across) */
  size_t room;                /* the largest of them, packed */
};

#endif
