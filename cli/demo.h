/*
 * demo.h -- the parts of `tears demo`: Debian's package list, and a load on it.
 */
#ifndef CLI_DEMO_H
#define CLI_DEMO_H

#include "context.h"
#include "figures.h"

/* ---- the package list (demo_packages.c) ---- */

/* One package; text is borrowed from the list. */
struct cli_package {
    char *name; /* owned: it gets ":architecture" when the plain name is taken */
    struct tears_str version;
    struct tears_str architecture;
    struct tears_str section;
    struct tears_str priority;
    struct tears_str installed_size; /* KiB */
    struct tears_str maintainer;
    struct tears_str depends;
    struct tears_str summary;
    struct tears_str description;
};

struct cli_packages {
    char *text; /* of the file */
    size_t len;
    struct cli_package *packages;
    size_t count;
    size_t bytes; /* of all values together */
};

int cli_packages_read(const struct cli_args *args, const char *path, struct cli_packages *out);
void cli_packages_done(struct cli_packages *packages);

/* Creates the table `packages` and writes all packages into it. */
int cli_packages_import(struct cli_context *context, const struct cli_packages *packages);

/* ---- the load (demo_load.c) ---- */

struct cli_load {
    tears_client *client;
    const struct cli_packages *packages;
    uint64_t threads;
    uint64_t seconds;
    uint64_t seed;
    uint64_t process; /* number of the process, so that each chooses differently */
    uint64_t write_percent;
};

/* Runs the load and adds what it measured to the figures. */
int cli_load_run(const struct cli_args *args, const struct cli_load *load,
                 struct cli_figures *figures);

/* The options that say what load is meant; the defaults are those of `tears help demo`. */
int cli_load_options(const struct cli_args *args, struct cli_load *load);
extern const struct cli_option cli_demo_options[];

/* The file of packages that the options name. */
const char *cli_packages_path(const struct cli_args *args);

/* ---- processes (demo_worker.c) ---- */

/* Runs the load in `count` processes of this program, each with this L1, and adds up their figures.
 */
int cli_workers_run(const struct cli_args *args, uint64_t count, const char *l1,
                    struct cli_figures *figures);

enum { CLI_WORKERS_MAX = 16 };

#endif
