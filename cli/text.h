/*
 * text.h -- memory and growing text of the command.
 *
 * A command can end where a library must not: when memory is exhausted, the cli_* allocators say so
 * and exit with CLI_EXIT_BROKEN.  Nothing is lost by that: every write the command reported is
 * already durable.
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdarg.h>
#include <tears/tears.h>

#define CLI_PRINTF(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
#define CLI_COUNT(array)                (sizeof(array) / sizeof((array)[0]))
#define CLI_STR_FMT                     "%.*s"
#define CLI_STR_ARG(str) \
    ((int)((str).len > 4096 ? 4096 : (str).len)), (str).len > 0 ? (str).ptr : ""

/* Memory of count * bytes, all zero.  Never NULL; ended by free. */
void *cli_alloc(size_t count, size_t bytes);

/* Grows or shrinks an array to count * bytes; the new part is not initialised.  Never NULL. */
void *cli_resize(void *ptr, size_t count, size_t bytes);

/* A NUL-terminated copy, ended by free. */
char *cli_copy(struct tears_str text);

bool cli_str_equal(struct tears_str a, struct tears_str b);
bool cli_str_is(struct tears_str a, const char *literal);
bool cli_str_ends(struct tears_str a, const char *suffix);

/* Reads a whole decimal number of at most `max`; false for anything else. */
bool cli_number(struct tears_str text, uint64_t max, uint64_t *out);

/* Text that grows.  All zero is empty; `ptr` is NUL-terminated once anything was put. */
struct cli_text {
    char *ptr;
    size_t len;
    size_t capacity;
};

void cli_text_put(struct cli_text *text, struct tears_str more);
void cli_text_put_c(struct cli_text *text, const char *more);
void cli_text_put_char(struct cli_text *text, char c);
void cli_text_printf(struct cli_text *text, const char *format, ...) CLI_PRINTF(2, 3);
struct tears_str cli_text_str(const struct cli_text *text);
void cli_text_clear(struct cli_text *text);
void cli_text_done(struct cli_text *text);

/* Appends a quoted JSON string; bytes that are not UTF-8 become U+FFFD. */
void cli_text_put_json(struct cli_text *text, struct tears_str utf8);

/* Appends an integer with a comma between thousands, as people read it. */
void cli_text_put_count(struct cli_text *text, uint64_t number);

/* Length in bytes of the UTF-8 character at the start of `text`, or 0 when its bytes are malformed.
 */
size_t cli_utf8_char(struct tears_str text);

/* Columns of a terminal the text takes, one per character. */
size_t cli_utf8_width(struct tears_str text);

/* Seconds of the monotonic clock. */
double cli_now(void);

#endif
