/*
 * json_lines.c -- checks that every line of its input is exactly one JSON object, and prints
 * members of it.
 *
 * usage: json_lines MEMBER...
 * A member may be a path: row.name, rows.0.name.  For each line it prints the members with a blank
 * between; texts as they are, other values as JSON, "-" for what is not there.  Ends with 1 at the
 * first bad line.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const json_t *find(const json_t *value, const char *path)
{
    char name[128];

    while (value != NULL && path[0] != '\0') {
        const size_t len = strcspn(path, ".");
        if (len >= sizeof name)
            return NULL;
        memcpy(name, path, len);
        name[len] = '\0';
        value = json_is_array(value) ? json_array_get(value, (size_t)strtoul(name, NULL, 10))
                                     : json_object_get(value, name);
        path += len + (path[len] == '.');
    }
    return value;
}

static int print(const json_t *value)
{
    if (value == NULL)
        return fputs("-", stdout);
    if (json_is_string(value))
        return fputs(json_string_value(value), stdout);
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    const int result = text != NULL ? fputs(text, stdout) : EOF;
    free(text);
    return result;
}

int main(int count, char **members)
{
    char *line = NULL;
    size_t capacity = 0;
    size_t number = 0;

    for (ssize_t len; (len = getline(&line, &capacity, stdin)) >= 0;) {
        json_error_t error;
        json_t *object = json_loadb(line, (size_t)len, JSON_REJECT_DUPLICATES, &error);
        number++;
        if (!json_is_object(object)) {
            (void)fprintf(stderr, "line %zu is no JSON object: %s\n%s", number, error.text, line);
            return 1;
        }
        for (int i = 1; i < count; i++) {
            if (print(find(object, members[i])) == EOF ||
                putchar(i + 1 < count ? ' ' : '\n') == EOF)
                return 1;
        }
        json_decref(object);
    }
    free(line);
    return 0;
}
