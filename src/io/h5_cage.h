/*
** h5_cage.h -- what a child process that reads a foreign file may still do:
** compute and read files, within limits.
*/
#ifndef DYN_H5_CAGE_H
#define DYN_H5_CAGE_H

#include <stdbool.h>
#include <stddef.h>

/*
** Lock up this process for good: 'most' bytes of address space beyond those it
** has, 'seconds' of CPU time, no core, nothing written to files; on Linux no
** other system call than those of memory, of reading and of opening files to
** read (EPERM). False if the kernel has no such filter: limits only.
*/
bool dyn_cage(size_t most, int seconds);
/* Until told otherwise, of these 'most' bytes 'now' may be used. */
void dyn_cage_memory(size_t now);

#endif
