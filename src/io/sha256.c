#include "io/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <sha2.h>
#include <string.h>
#include <unistd.h>

static void hex(char out[DYN_SHA256_LEN], SHA2_CTX *c) {
  static const char digit[] = "0123456789abcdef";
  unsigned char d[SHA256_DIGEST_LENGTH];
  SHA256Final(d, c);
  for (size_t i = 0; i < sizeof d; i++) {
    out[2 * i] = digit[d[i] >> 4];
    out[2 * i + 1] = digit[d[i] & 15];
  }
  out[2 * sizeof d] = '\0';
}

void dyn_sha256(char out[DYN_SHA256_LEN], const void *p, size_t n) {
  SHA2_CTX c;
  SHA256Init(&c);
  SHA256Update(&c, p, n);
  hex(out, &c);
}

/* All bytes of 'fd' from where it stands; -1 with errno on failure. */
static int64_t update(SHA2_CTX *c, int fd, unsigned char *buf, size_t room) {
  int64_t total = 0;
  for (;;) {
    ssize_t k = read(fd, buf, room);
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) return k < 0 ? -1 : total;
    SHA256Update(c, buf, (size_t)k);
    total += k;
  }
}

DYN_STATUS dyn_sha256_file(char out[DYN_SHA256_LEN], const char *path,
                           int64_t from, int64_t *size, dyn_err *e) {
  enum {
    ROOM = 1 << 16
  };
  dyn_status st = DYN_OK;
  SHA2_CTX c;
  int64_t n = -1;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  unsigned char *buf = dyn_alloc(ROOM, 1);
  if (!buf) {
    st = dyn_fail(e, DYN_ENOMEM, "%s: out of memory", path);
    goto done;
  }
  SHA256Init(&c);
  if (fd >= 0 && lseek(fd, (off_t)from, SEEK_SET) >= 0)
    n = update(&c, fd, buf, ROOM);
  if (n < 0) {
    st = dyn_fail(e, DYN_EIO, "%s: %s", path, strerror(errno));
    goto done;
  }
  hex(out, &c);
  if (size) *size = n;
done:
  if (fd >= 0) close(fd);
  dyn_free(buf, ROOM, 1);
  return st;
}
