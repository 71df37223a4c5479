# Trying it, documents, measurements, and putting it where programs are. PREFIX and DESTDIR are honoured.
bindir      := $(DESTDIR)$(PREFIX)/bin
libdir      := $(DESTDIR)$(PREFIX)/lib
sharedir    := $(DESTDIR)$(PREFIX)/share
includedir  := $(DESTDIR)$(PREFIX)/include/dynamo
mandir      := $(sharedir)/man/man1
examplesdir := $(sharedir)/doc/dynamo/examples
LUAVERSIONS := 5.4 $(if $(HAVEJIT),5.1)
LUAFILES    := $(patsubst lua/%,%,$(LUASRC))
# the umbrella header and everything that it includes
PUBLIC       = $(patsubst src/%,%,$(filter src/%,$(shell $(CC) -Isrc -D_GNU_SOURCE -MM src/dynamo.h)))
PCLIBS      := openblas lapacke hdf5-serial libdeflate libzstd zlib libmd

##demo          packages, build, and dynamo demo: simulated data, table, report in runs/demo
demo: deps
	@$(MAKE) --no-print-directory $(JOBS) all
	@$(BUILD)/dynamo demo

##doc           the manual page, from the same source as help()
doc: $(BUILD)/dynamo.1
$(BUILD)/dynamo.1: $(BUILD)/dynamo
	$(Q)$< -e 'io.write(require("dynamo.help").man())' > $@.tmp && mv $@.tmp $@

# For pkg-config --cflags --libs [--static] dynamo
$(BUILD)/dynamo.pc: Makefile tools/install.mk
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'Name: dynamo' 'Description: operators of genetic perturbations' \
	  'Version: $(VERSION)' 'Requires.private: $(PCLIBS)' 'Cflags: -I$${prefix}/include/dynamo' \
	  'Libs: -L$${prefix}/lib -ldynamo' 'Libs.private: -fopenmp -lm' > $@

##bench         tests/bench: every measurement beside its peers, table in build/bench.csv; ONLY=tensor
BENCHES = $(wildcard $(if $(ONLY),$(ONLY:%=tests/bench/bench_%.lua),tests/bench/bench_*.lua))
bench: all
	@echo name,case,threads,seconds,peak_mb,quality,peer,peer_seconds,ratio,limit_ratio > $(BUILD)/bench.csv
	@for f in $(BENCHES); do echo "# $$f"; DYNAMO_BENCH_CSV=$(BUILD)/bench.csv $(BUILD)/dynamo $$f || exit 1; done

##install       program, modules for lua5.4 and luajit, library, header, manual page under PREFIX
install: all doc $(BUILD)/dynamo.pc
	install -d $(bindir) $(libdir)/pkgconfig $(mandir)
	install -m 755 $(BUILD)/dynamo $(bindir)/dynamo
	install -m 644 $(BUILD)/dynamo.1 $(mandir)/dynamo.1
	install -m 644 $(BUILD)/libdynamo.a $(libdir)/libdynamo.a
	install -m 755 $(BUILD)/libdynamo.so $(libdir)/$(SONAME)
	ln -sf $(SONAME) $(libdir)/libdynamo.so
	install -m 644 $(BUILD)/dynamo.pc $(libdir)/pkgconfig/dynamo.pc
	$(Q)for h in $(PUBLIC); do install -D -m 644 src/$$h $(includedir)/$$h || exit 1; done
	$(Q)for v in $(LUAVERSIONS); do for f in $(LUAFILES); do \
	  install -D -m 644 lua/$$f $(sharedir)/lua/$$v/$$f || exit 1; done; done
	install -D -m 755 $(BUILD)/lua54/dynamo/core.so $(libdir)/lua/5.4/dynamo/core.so
	$(if $(HAVEJIT),install -D -m 755 $(BUILD)/luajit/dynamo/core.so $(libdir)/lua/5.1/dynamo/core.so)
	$(Q)for f in $(wildcard examples/*.lua); do install -D -m 644 $$f $(examplesdir)/$${f#examples/} || exit 1; done

# A folder that only we use goes whole; one that is shared loses our files.
##uninstall     remove all of that
uninstall:
	rm -f $(bindir)/dynamo $(mandir)/dynamo.1 $(libdir)/libdynamo.a $(libdir)/libdynamo.so \
	  $(libdir)/$(SONAME) $(libdir)/pkgconfig/dynamo.pc
	rm -rf $(includedir) $(sharedir)/doc/dynamo $(sharedir)/lua/5.4/dynamo $(sharedir)/lua/5.1/dynamo \
	  $(libdir)/lua/5.4/dynamo $(libdir)/lua/5.1/dynamo
.PHONY: demo doc bench install uninstall
