/*
 * load.c -- loads the shared library, asks for its version, and unloads it: no constructor may
 * start anything.
 *
 * Fails: exit status 1 with the message of the loader.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    void *symbol = library != NULL ? dlsym(library, "tears_version_number") : NULL;
    if (symbol == NULL) {
        fprintf(stderr, "%s\n", argc == 2 ? dlerror() : "usage: load LIBRARY");
        return 1;
    }
    uint32_t (*version_number)(void);
    memcpy(&version_number, &symbol, sizeof version_number);
    printf("version number %u\n", (unsigned)version_number());
    return dlclose(library) != 0;
}
