/*
** version.h -- semantic versioning (semver.org): a major version may take
** functions away or change structures, a minor one adds, a patch repairs. Before
** 1.0 a minor version may do what a major one may later. The name of the shared
** library, libdynamo.so.N, has the major version N.
*/
#ifndef DYN_VERSION_H
#define DYN_VERSION_H

#define DYN_VERSION_MAJOR 0
#define DYN_VERSION_MINOR 1
#define DYN_VERSION_PATCH 0
/* 10000 major + 100 minor + patch: what #if compares. */
#define DYN_VERSION_NUMBER \
  (DYN_VERSION_MAJOR * 10000 + DYN_VERSION_MINOR * 100 + DYN_VERSION_PATCH)

/* "0.1.0", of the library that runs: it may be newer than its header. */
const char *dyn_version(void);
/* The same as DYN_VERSION_NUMBER was when the library was built. */
int dyn_version_number(void);

#endif
