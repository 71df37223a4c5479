/* Private to npy.c and npz.c. */
#ifndef DYN_NPY_LIB_H
#define DYN_NPY_LIB_H

#include "io/npy.h"
#include "io/text.h"

/* The bytes of the .npy file of 'a'; 'path' is for messages. */
DYN_STATUS dyn_npy_image(const dyn_array *a, const char *path, dyn_text *out,
                         dyn_err *e);

#endif
