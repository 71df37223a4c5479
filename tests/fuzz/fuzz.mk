# Fuzzing: one target per parser, with clang's libFuzzer and the sanitizers. HDF5 itself is the system's, without them.
FUZZ_SECONDS ?= 1800
FUZZ_CC      ?= clang
FUZZERS      := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_FLAGS    = -std=c11 -D_GNU_SOURCE -O1 -g -Isrc -fno-sanitize-recover=undefined -Wno-pass-failed \
                -DDYN_VERSION='"$(VERSION)"' $(shell $(PC) --cflags hdf5-serial)
FUZZ_OBJ     := $(patsubst src/%.c,$(BUILD)/fuzz/obj/%.o,$(wildcard src/io/*.c) $(patsubst %,src/core/%.c,base memory names tensor indexing ops sparse))
FUZZ_LIBS     = $(shell $(PC) --libs hdf5-serial libdeflate libzstd zlib libmd) -lgomp -lm
# how many at a time, and how long each inside `make test`
FUZZ_JOBS    ?= $(shell nproc)
FUZZ_TEST_SECONDS ?= 40

$(BUILD)/fuzz/obj/%.o: src/%.c $(wildcard src/io/*.h src/core/*.h)
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link,address,undefined -c -o $@ $<
$(BUILD)/fuzz/%: tests/fuzz/fuzz_%.c tests/fuzz/fuzz.h tests/fuzz/budget.c $(FUZZ_OBJ)
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer,address,undefined -o $@ $< tests/fuzz/budget.c $(FUZZ_OBJ) $(FUZZ_LIBS)
	$(Q)rm -f $(@D)/turns_$*

##fuzz          every parser for FUZZ_SECONDS (1800) of processor time, FUZZ_JOBS at a time; goes on where it was until the code changes; needs clang
fuzz: $(FUZZERS:%=$(BUILD)/fuzz/%)
	@sh tests/fuzz/run.sh $(BUILD)/fuzz $(FUZZ_SECONDS) $(FUZZ_JOBS) $(FUZZERS)
##fuzz-smoke    the seeds, the files of old findings, then FUZZ_TEST_SECONDS (40) each; what make test runs
fuzz-smoke:
	@if command -v $(FUZZ_CC) > /dev/null; then FRESH=1 $(MAKE) --no-print-directory fuzz FUZZ_SECONDS=$(FUZZ_TEST_SECONDS); \
	else echo "# skip fuzz: no $(FUZZ_CC)"; echo "0 passed, 0 failed"; fi
.PHONY: fuzz fuzz-smoke
