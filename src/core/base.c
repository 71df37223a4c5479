#include "core/base.h"

#include <stdarg.h>
#include <stdio.h>

dyn_status dyn_fail(dyn_err *e, dyn_status st, const char *fmt, ...) {
  if (e) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
  }
  return st;
}

const char *dyn_status_name(dyn_status st) {
  static const char *const names[] = {"OK",      "ENOMEM",  "ESHAPE",
                                      "ETYPE",   "EVALUE",  "EIO",
                                      "ENOCONV", "ECANCEL", "EFORMAT"};
  int i = -(int)st;
  return i >= 0 && i < (int)(sizeof names / sizeof names[0]) ? names[i] : "?";
}
