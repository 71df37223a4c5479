/* Names: ids in order of arrival, found again, and nothing leaks. */
#include <string.h>

#include "core/names.h"
#include "test.h"

static dyn_status many(int n) {
  dyn_names t = {0};
  dyn_status st = DYN_OK;
  char buf[32];
  int32_t id;
  for (int i = 0; i < n && st == DYN_OK; i++) {
    int len = snprintf(buf, sizeof buf, "GENE%d", i);
    st = dyn_names_add(&t, buf, (size_t)len, &id, NULL, NULL);
  }
  dyn_names_free(&t);
  return st;
}

int main(void) {
  dyn_names t = {0};
  dyn_err e;
  int32_t id = -1;
  bool added;
  char buf[32];
  for (int i = 0; i < 5000; i++) {
    int len = snprintf(buf, sizeof buf, "G%d", i * 7);
    if (dyn_names_add(&t, buf, (size_t)len, &id, &added, &e) != DYN_OK ||
        id != i || !added)
      OK(!"a new name gets the next id");
  }
  OK(dyn_names_add(&t, "G70", 3, &id, &added, &e) == DYN_OK && id == 10);
  OK(!added);
  OK(dyn_names_find(&t, "G7", 2) == 1 && dyn_names_find(&t, "G8", 2) == -1);
  OK(strcmp(dyn_names_get(&t, 4999), "G34993") == 0);
  OK(dyn_names_add(&t, "a\0b", 3, &id, NULL, &e) == DYN_EFORMAT);
  OK(dyn_names_find(&t, "G7\0", 3) == -1);
  dyn_names_free(&t);
  OUT_OF_MEMORY(many(300));
  return done_testing();
}
