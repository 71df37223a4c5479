/* wide.h -- loops compiled for wider registers. Private to core/ and learn/. */
#ifndef DYN_WIDE_H
#define DYN_WIDE_H

/*
** WIDE functions are compiled for wider registers as well; the processor's are
** chosen when the library is loaded. The bits are the same: nothing is
** contracted (-ffp-contract=off), and no sum in them is left to be reordered.
*/
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

#endif
