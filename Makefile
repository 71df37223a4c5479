# dynamo: `make demo` and `make test` are all there is to know; `make help` lists
# the rest. Honoured: CC CFLAGS BUILD PREFIX DESTDIR LUA LUAJIT DEPS=skip V=1
CC      ?= cc
BUILD   ?= build
CFLAGS  ?= -O2 -g
PREFIX  ?= /usr/local
LUA     ?= lua5.4
LUAJIT  ?= luajit
DATA    ?= ../shared/data
VERSION := $(shell awk '/^\#define DYN_VERSION_(MAJOR|MINOR|PATCH)/ { v = v s $$3; s = "." } END { print v }' src/core/version.h)
SONAME  := libdynamo.so.$(firstword $(subst ., ,$(VERSION)))
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all
Q := $(if $(V),,@)

PKGS := lua5.4 openblas lapacke hdf5-serial zlib libdeflate libzstd libmd
PC    = PKG_CONFIG_PATH=$(firstword $(wildcard /usr/lib/*/openblas-openmp/pkgconfig)) pkg-config
WARN  = -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
        -Wmissing-prototypes -Wvla -Wdouble-promotion \
        -Werror=implicit-function-declaration -Wno-pass-failed
override CFLAGS += -std=c11 -D_GNU_SOURCE -fPIC -fvisibility=hidden -fopenmp \
        -ffp-contract=off -fno-math-errno -Isrc -I$(BUILD)/gen -MMD -MP $(WARN) \
        -DDYN_VERSION='"$(VERSION)"'
LIBCFLAGS = $(shell $(PC) --cflags openblas lapacke hdf5-serial)
LDLIBS    = $(shell $(PC) --libs openblas lapacke hdf5-serial libdeflate libzstd zlib libmd) -lm

ROOMS   := core embed learn koopman eval io simulate abi
LIB     := $(patsubst src/%.c,$(BUILD)/%.o,$(wildcard $(ROOMS:%=src/%/*.c)))
BIND    := $(notdir $(wildcard src/bind/*.c))
APP     := $(notdir $(wildcard src/app/*.c))
LUASRC  := $(wildcard lua/dynamo/*.lua lua/dynamo/*/*.lua)
CTESTS  := $(patsubst tests/c/%.c,$(BUILD)/tests/%,$(wildcard tests/c/*.c))
FORMAT  := $(wildcard src/*.h src/*/*.[ch] tests/*/*.[ch] examples/c/*.[ch])
HAVEJIT := $(shell pkg-config --exists luajit 2>/dev/null && echo yes)
PRODUCTS = $(if $(APP),$(BUILD)/dynamo) $(BUILD)/lua54/dynamo/core.so \
           $(if $(HAVEJIT),$(BUILD)/luajit/dynamo/core.so) \
           $(BUILD)/libdynamo.a $(BUILD)/libdynamo.so

##all           build everything that the installed packages allow
all: $(PRODUCTS)

##deps          install the Debian packages that are missing
deps:
	@sh tools/deps.sh $(DEPS)

# The library's names are those of libdynamo.so; core.so shows one name alone.
$(BUILD)/%.o: src/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -fvisibility=default -fno-semantic-interposition $(LIBCFLAGS) -c $< -o $@

# One library, bound per Lua: bind/ is compiled once for each. nodelete: a
# closing state unloads modules, but OpenMP's threads still run in them.
define BINDING
$(BUILD)/$(1)/%.o: src/bind/%.c
	@mkdir -p $$(@D)
	$(Q)$$(CC) $$(CFLAGS) $$(shell pkg-config --cflags $(2)) -c $$< -o $$@
$(BUILD)/$(1)/dynamo/core.so: $$(BIND:%.c=$(BUILD)/$(1)/%.o) $$(LIB)
	@mkdir -p $$(@D)
	$(Q)$$(CC) $$(CFLAGS) -shared -Wl,-z,nodelete -Wl,--version-script=tools/core.map -o $$@ $$^ $$(LDLIBS)
endef
$(eval $(call BINDING,lua54,lua5.4))
$(eval $(call BINDING,luajit,luajit))

$(BUILD)/libdynamo.a: $(LIB)
	$(Q)rm -f $@ && ar rcs $@ $^
$(BUILD)/libdynamo.so: $(LIB)
	$(Q)$(CC) $(CFLAGS) -shared -Wl,-z,nodelete -Wl,--version-script=tools/lib.map -Wl,-soname,$(SONAME) -o $@ $^ $(LDLIBS)

# The program: Lua 5.4 and every file of lua/ (and argparse, dkjson) inside.
$(BUILD)/gen/embedded.h: tools/embed.sh $(LUASRC)
	@mkdir -p $(@D)
	$(Q)sh tools/embed.sh $(LUASRC) > $@.tmp && mv $@.tmp $@
$(BUILD)/app/%.o: src/app/%.c $(BUILD)/gen/embedded.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(shell pkg-config --cflags lua5.4) -c $< -o $@
$(BUILD)/dynamo: $(APP:%.c=$(BUILD)/app/%.o) $(BIND:%.c=$(BUILD)/lua54/%.o) $(LIB)
	$(Q)$(CC) $(CFLAGS) -Wl,-E -o $@ $^ $(shell pkg-config --libs lua5.4) $(LDLIBS) -ldl

$(BUILD)/tests/test_%: tests/c/test_%.c $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LIBCFLAGS) -Itests/c -o $@ $(filter %.c %.o,$^) $(LDLIBS)
$(BUILD)/tests/bind_%: tests/c/bind_%.c $(LIB) $(BIND:%.c=$(BUILD)/lua54/%.o)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -Itests/c $$(pkg-config --cflags lua5.4) -o $@ $(filter %.c %.o,$^) \
	  $$(pkg-config --libs lua5.4) $(LDLIBS)

include tests/suite.mk tools/install.mk

##layers        who may include whom, and that the library is silent
layers: $(LIB)
	@tests/layers.sh $(LIB)
##lint          formatting, both Luas parse every file, globals, cppcheck, no warning from gcc and clang
lint: check-format
	@MAKE='$(MAKE)' tests/lint.sh
lint-build: all $(CTESTS)
##format        rewrite all C files with clang-format
format:
	@clang-format -i $(FORMAT)
check-format:
	@clang-format --dry-run -Werror $(FORMAT)
##clean         remove what was built
clean:
	rm -rf $(BUILD)
##help          this list
help:
	@echo "make TARGET  [CC=clang] [BUILD=folder] [PREFIX=/usr/local] [DESTDIR=] [DEPS=skip] [V=1]"
	@for only in 'demo  ' 'test  ' ''; do \
	  sed -n "s/^##\($$only\)/\1/p" tools/install.mk tests/suite.mk Makefile tests/fuzz/fuzz.mk; \
	done | awk '!seen[$$0]++'

.PHONY: all deps layers lint lint-build format check-format clean help
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
