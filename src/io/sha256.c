#include "io/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <md5.h>
#include <sha2.h>
#include <string.h>
#include <unistd.h>

static void hex(char *out, const unsigned char *d, size_t n) {
  static const char digit[] = "0123456789abcdef";
  for (size_t i = 0; i < n; i++) {
    out[2 * i] = digit[d[i] >> 4];
    out[2 * i + 1] = digit[d[i] & 15];
  }
  out[2 * n] = '\0';
}

static void finish_sha(char out[DYN_SHA256_LEN], SHA2_CTX *c) {
  unsigned char d[SHA256_DIGEST_LENGTH];
  SHA256Final(d, c);
  hex(out, d, sizeof d);
}

void dyn_sha256(char out[DYN_SHA256_LEN], const void *p, size_t n) {
  SHA2_CTX c;
  SHA256Init(&c);
  SHA256Update(&c, p, n);
  finish_sha(out, &c);
}

typedef void (*updater)(void *c, const unsigned char *p, size_t n);

static void more_sha(void *c, const unsigned char *p, size_t n) {
  SHA256Update(c, p, n);
}

static void more_md5(void *c, const unsigned char *p, size_t n) {
  MD5Update(c, p, n);
}

/* All bytes of 'fd' from where it stands; -1 with errno on failure. */
static int64_t all_of(void *c, updater more, int fd, unsigned char *buf,
                      size_t room) {
  int64_t total = 0;
  for (;;) {
    ssize_t k = read(fd, buf, room);
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) return k < 0 ? -1 : total;
    more(c, buf, (size_t)k);
    total += k;
  }
}

/* The bytes of a file from offset 'from' go into the digest '*c'. */
static dyn_status feed(void *c, updater more, const char *path, int64_t from,
                       int64_t *size, dyn_err *e) {
  enum {
    ROOM = 1 << 16
  };
  dyn_status st = DYN_OK;
  int64_t n = -1;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  unsigned char *buf = dyn_alloc(ROOM, 1);
  if (!buf) {
    st = dyn_fail(e, DYN_ENOMEM, "%s: out of memory", path);
    goto done;
  }
  if (fd >= 0 && lseek(fd, (off_t)from, SEEK_SET) >= 0)
    n = all_of(c, more, fd, buf, ROOM);
  if (n < 0) {
    st = dyn_fail(e, DYN_EIO, "%s: %s", path, strerror(errno));
    goto done;
  }
  if (size) *size = n;
done:
  if (fd >= 0) close(fd);
  dyn_free(buf, ROOM, 1);
  return st;
}

DYN_STATUS dyn_sha256_file(char out[DYN_SHA256_LEN], const char *path,
                           int64_t from, int64_t *size, dyn_err *e) {
  SHA2_CTX c;
  SHA256Init(&c);
  dyn_status st = feed(&c, more_sha, path, from, size, e);
  if (st == DYN_OK) finish_sha(out, &c);
  return st;
}

DYN_STATUS dyn_md5_file(char out[DYN_MD5_LEN], const char *path, dyn_err *e) {
  MD5_CTX c;
  unsigned char d[MD5_DIGEST_LENGTH];
  MD5Init(&c);
  dyn_status st = feed(&c, more_md5, path, 0, NULL, e);
  MD5Final(d, &c);
  if (st == DYN_OK) hex(out, d, sizeof d);
  return st;
}
