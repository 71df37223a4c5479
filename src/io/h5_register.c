/*
** h5_register.c -- decoders that we give to the library, plugins of Debian that
** we let it load, and the word for a filter that neither has.
*/
#include <string.h>

#include "io/h5_filters.h"
#include "io/h5_lib.h"

/* ---- filters -------------------------------------------------------------- */

/* Bytes of a chunk of the dataset being read: what a decoder may produce. The
** library calls it back without a place for our own data. */
static size_t chunk_limit;

static size_t decode(int id, unsigned flags, size_t ncd, const unsigned cd[],
                     size_t n, size_t *cap, void **buf) {
  if (!(flags & H5Z_FLAG_REVERSE) || chunk_limit == 0) return 0;
  void *out = H5allocate_memory(chunk_limit, 1);
  if (!out) return 0;
  size_t got = dyn_unpack(id, cd, ncd, out, chunk_limit, *buf, n);
  if (got == 0) {
    H5free_memory(out);
    return 0;
  }
  H5free_memory(*buf);
  *buf = out;
  *cap = chunk_limit;
  return got;
}

/* The library does not tell a filter which one it is. */
#define DECODER(name, id)                                             \
  static size_t name(unsigned flags, size_t ncd, const unsigned cd[], \
                     size_t n, size_t *cap, void **buf) {             \
    return decode(id, flags, ncd, cd, n, cap, buf);                   \
  }
DECODER(lzf, DYN_FILTER_LZF)
DECODER(lz4, DYN_FILTER_LZ4)
DECODER(bitshuffle, DYN_FILTER_BITSHUFFLE)
DECODER(zstd, DYN_FILTER_ZSTD)

void dyn_h5_setup(void) {
  static const H5Z_class2_t own[] = {
      {H5Z_CLASS_T_VERS, DYN_FILTER_LZF, 0, 1, "lzf", NULL, NULL, lzf},
      {H5Z_CLASS_T_VERS, DYN_FILTER_LZ4, 0, 1, "lz4", NULL, NULL, lz4},
      {H5Z_CLASS_T_VERS, DYN_FILTER_BITSHUFFLE, 0, 1, "bitshuffle", NULL, NULL,
       bitshuffle},
      {H5Z_CLASS_T_VERS, DYN_FILTER_ZSTD, 0, 1, "zstd", NULL, NULL, zstd},
  };
  static bool ready;
  /* at exit the library would close a file whose disk was full, and crash;
  ** its first call registers that */
  if (!ready) H5dont_atexit();
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  if (ready) return;
  ready = true;
  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    ready = H5Zregister(&own[i]) >= 0 && ready;
  H5PLset_loading_state(0);
}

static const struct {
  H5Z_filter_t id;
  bool plugin; /* one that Debian has, and that we let the library load */
  const char *name, *hint;
} foreign[] = {
    {32001, true, "blosc", "apt-get install hdf5-filter-plugin-blosc-serial"},
    {307, true, "bzip2", "apt-get install hdf5-filter-plugin"},
    {32026, false, "blosc2", "re-save with compression=\"gzip\""},
};

static bool available(H5Z_filter_t id, size_t known) {
  if (H5Zfilter_avail(id) > 0) return true;
  if (known >= sizeof foreign / sizeof *foreign || !foreign[known].plugin)
    return false;
  H5PLset_loading_state(H5PL_FILTER_PLUGIN);
  bool there = H5Zfilter_avail(id) > 0;
  H5PLset_loading_state(0);
  return there;
}

static DYN_STATUS filters(dyn_h5 *f, const char *member, hid_t plist,
                          dyn_err *e) {
  int n = H5Pget_nfilters(plist);
  for (int i = 0; i < n; i++) {
    unsigned flags, config;
    size_t ncd = 0, k = 0;
    H5Z_filter_t id = H5Pget_filter2(plist, (unsigned)i, &flags, &ncd, NULL, 0,
                                     NULL, &config);
    while (k < sizeof foreign / sizeof *foreign && foreign[k].id != id) k++;
    if (id < 0) return dyn_h5_broken(f, e, member);
    if (available(id, k)) continue;
    bool known = k < sizeof foreign / sizeof *foreign;
    return dyn_h5_fail(
        f, e, DYN_EFORMAT, member,
        "HDF5 filter %d%s%s%s is not available (try: %s)", (int)id,
        known ? " (" : "", known ? foreign[k].name : "", known ? ")" : "",
        known ? foreign[k].hint : "re-save with compression=\"gzip\"");
  }
  return n < 0 ? dyn_h5_broken(f, e, member) : DYN_OK;
}

DYN_STATUS dyn_h5_filters(dyn_h5 *f, const char *member, hid_t d, dyn_err *e) {
  hsize_t c[H5S_MAX_RANK];
  hid_t p = H5Dget_create_plist(d), t = H5Dget_type(d);
  dyn_status st = DYN_OK;
  double bytes = t >= 0 ? (double)H5Tget_size(t) : 0;
  if (p < 0 || t < 0) {
    st = dyn_h5_broken(f, e, member);
    goto done;
  }
  int rank =
      H5Pget_layout(p) == H5D_CHUNKED ? H5Pget_chunk(p, H5S_MAX_RANK, c) : 0;
  for (int i = 0; i < rank; i++) bytes *= (double)c[i];
  if (bytes > (double)f->limit) {
    st = dyn_h5_fail(f, e, DYN_EFORMAT, member, "chunk of %.0f bytes", bytes);
    goto done;
  }
  /* a string takes twice the place in the file; + a later checksum */
  chunk_limit = rank > 0 ? 2 * (size_t)bytes + 4 : 0;
  st = filters(f, member, p, e);
done:
  dyn_h5_drop(p);
  dyn_h5_drop(t);
  return st;
}
