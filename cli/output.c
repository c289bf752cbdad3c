/*
 * output.c -- results to stdout, remarks and errors to stderr.
 *
 * Owns:     the rule where output goes and how it looks.
 * Must not know: tables, tiers.
 * Threads:  the main thread.
 * Fails:    CLI_EXIT_BROKEN when stdout cannot take a line.
 * Begin at: cli_fail(), cli_grid_print().
 */
#include "output.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* ---- errors ---- */

int cli_exit_of(tears_status status)
{
    switch (status) {
    case TEARS_OK:
    case TEARS_DONE:
        return CLI_EXIT_OK;
    case TEARS_NOT_FOUND:
    case TEARS_CONFLICT:
        return CLI_EXIT_NO;
    case TEARS_MISUSE:
        return CLI_EXIT_USAGE;
    case TEARS_TIMEOUT:
    case TEARS_UNAVAILABLE:
        return CLI_EXIT_UNAVAILABLE;
    case TEARS_INVALID:
    case TEARS_LIMIT:
    case TEARS_UNSUPPORTED:
        return CLI_EXIT_INVALID;
    case TEARS_DENIED:
        return CLI_EXIT_DENIED;
    case TEARS_NO_MEMORY:
    case TEARS_CORRUPT:
    case TEARS_INTERNAL:
    case TEARS_STATUS_FORCE_INT:
        break;
    }
    return CLI_EXIT_BROKEN;
}

static void text_put_va(struct cli_text *text, const char *format, va_list args) CLI_PRINTF(2, 0);

static void text_put_va(struct cli_text *text, const char *format, va_list args)
{
    char *message = NULL;
    if (vasprintf(&message, format, args) >= 0)
        cli_text_put_c(text, message);
    free(message);
}

int cli_fail(const struct cli_args *args, int exit_code, const char *status, const char *format,
             ...)
{
    CLI_AUTO(cli_text_done) struct cli_text message = {0};
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    va_list list;

    va_start(list, format);
    text_put_va(&message, format, list);
    va_end(list);
    if (args != NULL && args->json) {
        cli_text_printf(&line, "{\"ok\":false,\"status\":\"%s\",\"error\":", status);
        cli_text_put_json(&line, cli_text_str(&message));
        cli_text_put_c(&line, "}\n");
    } else {
        cli_text_put_c(&line, "tears: ");
        cli_text_put(&line, cli_text_str(&message));
        cli_text_put_char(&line, '\n');
    }
    (void)fflush(stdout); /* what was printed before the failure comes before it */
    (void)fwrite(line.ptr, 1, line.len, stderr);
    return exit_code;
}

void cli_note(const char *format, ...)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    va_list list;

    cli_text_put_c(&line, "tears: ");
    va_start(list, format);
    text_put_va(&line, format, list);
    va_end(list);
    cli_text_put_char(&line, '\n');
    (void)fflush(stdout); /* what was printed before the remark comes before it */
    (void)fwrite(line.ptr, 1, line.len, stderr);
}

int cli_print_line(const struct cli_args *args, struct tears_str text)
{
    if (fwrite(text.ptr, 1, text.len, stdout) == text.len && putc('\n', stdout) != EOF)
        return CLI_EXIT_OK;
    return cli_fail(args, CLI_EXIT_BROKEN, "OUTPUT", "cannot write to standard output: %s",
                    strerror(errno));
}

/* ---- the terminal ---- */

bool cli_is_terminal(FILE *stream)
{
    const char *forced = getenv("TEARS_TERMINAL");
    if (forced != NULL && forced[0] != '\0')
        return forced[0] == '1';
    return isatty(fileno(stream)) == 1;
}

size_t cli_terminal_width(void)
{
    struct winsize size;
    uint64_t columns = 0;
    const char *named = getenv("COLUMNS");

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    if (named != NULL && cli_number(tears_str_c(named), 10000, &columns) && columns > 0)
        return (size_t)columns;
    return 80;
}

/* ---- tables ---- */

void cli_grid_init(struct cli_grid *grid, size_t column_count)
{
    *grid = (struct cli_grid){.column_count = column_count};
    grid->right = cli_alloc(column_count, sizeof *grid->right);
}

void cli_grid_put(struct cli_grid *grid, struct tears_str cell)
{
    if (grid->cell_count == grid->capacity) {
        grid->capacity = grid->capacity > 0 ? grid->capacity * 2 : 64;
        grid->cells = cli_resize(grid->cells, grid->capacity, sizeof *grid->cells);
    }
    grid->cells[grid->cell_count++] = cli_copy(cell);
}

void cli_grid_put_c(struct cli_grid *grid, const char *cell)
{
    cli_grid_put(grid, tears_str_c(cell));
}

void cli_grid_done(struct cli_grid *grid)
{
    for (size_t i = 0; i < grid->cell_count; i++)
        free(grid->cells[i]);
    free(grid->cells);
    free(grid->right);
    *grid = (struct cli_grid){0};
}

/* Control characters would break the layout (or drive the terminal): they are shown, not obeyed. */
static void put_visible(struct cli_text *line, struct tears_str cell)
{
    for (size_t i = 0; i < cell.len;) {
        const size_t len = cli_utf8_char(tears_str_n(cell.ptr + i, cell.len - i));
        const unsigned char byte = (unsigned char)cell.ptr[i];
        if (byte == '\n')
            cli_text_put_c(line, "\\n");
        else if (byte == '\t')
            cli_text_put_c(line, "\\t");
        else if (len == 0 || byte < 0x20 || byte == 0x7F)
            cli_text_printf(line, "\\x%02x", byte);
        else
            cli_text_put(line, tears_str_n(cell.ptr + i, len));
        i += len > 0 ? len : 1;
    }
}

/* The start of `cell` that is `width` columns wide. */
static struct tears_str cut(struct tears_str cell, size_t width)
{
    size_t at = 0;
    while (at < cell.len && width > 0) {
        at++;
        while (at < cell.len && ((unsigned char)cell.ptr[at] & 0xC0) == 0x80)
            at++;
        width--;
    }
    return tears_str_n(cell.ptr, at);
}

static void put_padded(struct cli_text *line, struct tears_str cell, size_t width, bool right)
{
    const size_t own = cli_utf8_width(cell);
    struct tears_str shown = cell;

    if (own > width && width > 1)
        shown = cut(cell, width - 1);
    for (size_t i = own; right && i < width; i++)
        cli_text_put_char(line, ' ');
    cli_text_put(line, shown);
    if (own > width)
        cli_text_put_c(line, "…");
    for (size_t i = own; !right && i < width; i++)
        cli_text_put_char(line, ' ');
}

/* Narrows the widest column until the table fits the terminal; no column gets narrower than 8. */
static void fit(size_t *widths, size_t count, size_t limit)
{
    for (;;) {
        size_t total = 2 * (count - 1);
        size_t widest = 0;
        for (size_t i = 0; i < count; i++) {
            total += widths[i];
            if (widths[i] > widths[widest])
                widest = i;
        }
        if (total <= limit || widths[widest] <= 8)
            return;
        const size_t over = total - limit;
        widths[widest] = widths[widest] > 8 + over ? widths[widest] - over : 8;
    }
}

static int print_aligned(const struct cli_args *args, const struct cli_grid *grid)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    size_t *widths = cli_alloc(grid->column_count, sizeof *widths);
    int result = CLI_EXIT_OK;

    for (size_t i = 0; i < grid->cell_count; i++) {
        cli_text_clear(&line);
        put_visible(&line, tears_str_c(grid->cells[i]));
        const size_t width = cli_utf8_width(cli_text_str(&line));
        if (width > widths[i % grid->column_count])
            widths[i % grid->column_count] = width;
    }
    if (!grid->whole)
        fit(widths, grid->column_count, cli_terminal_width());
    for (size_t at = 0; at < grid->cell_count && result == CLI_EXIT_OK; at += grid->column_count) {
        CLI_AUTO(cli_text_done) struct cli_text row = {0};
        for (size_t i = 0; i < grid->column_count && at + i < grid->cell_count; i++) {
            cli_text_clear(&line);
            put_visible(&line, tears_str_c(grid->cells[at + i]));
            put_padded(&row, cli_text_str(&line), widths[i], grid->right[i]);
            cli_text_put_c(&row, i + 1 < grid->column_count ? "  " : "");
        }
        while (row.len > 0 && row.ptr[row.len - 1] == ' ')
            row.len--;
        result = cli_print_line(args, cli_text_str(&row));
    }
    free(widths);
    return result;
}

static int print_tabs(const struct cli_args *args, const struct cli_grid *grid)
{
    CLI_AUTO(cli_text_done) struct cli_text row = {0};

    for (size_t at = 0; at < grid->cell_count; at++) {
        const bool last = (at + 1) % grid->column_count == 0;
        put_visible(&row, tears_str_c(grid->cells[at]));
        if (!last) {
            cli_text_put_char(&row, '\t');
            continue;
        }
        CLI_TRY(cli_print_line(args, cli_text_str(&row)));
        cli_text_clear(&row);
    }
    return CLI_EXIT_OK;
}

int cli_grid_print(const struct cli_args *args, const struct cli_grid *grid)
{
    return grid->aligned || cli_is_terminal(stdout) ? print_aligned(args, grid)
                                                    : print_tabs(args, grid);
}

/* ---- figures ---- */

void cli_text_put_duration(struct cli_text *text, double seconds)
{
    if (seconds < 0.9995e-6)
        cli_text_printf(text, "%.0f ns", seconds * 1e9);
    else if (seconds < 0.9995e-3)
        cli_text_printf(text, "%.1f us", seconds * 1e6);
    else if (seconds < 0.9995)
        cli_text_printf(text, "%.1f ms", seconds * 1e3);
    else
        cli_text_printf(text, "%.1f s", seconds);
}

int64_t cli_calendar_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void cli_text_put_time(struct cli_text *text, int64_t us)
{
    const time_t seconds = (time_t)(us / 1000000);
    struct tm parts;
    char moment[40];

    if (gmtime_r(&seconds, &parts) != NULL &&
        strftime(moment, sizeof moment, "%Y-%m-%dT%H:%M:%SZ", &parts) > 0)
        cli_text_put_c(text, moment);
}

void cli_text_put_bytes(struct cli_text *text, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double amount = (double)bytes;
    size_t unit = 0;

    for (; amount >= 1024 && unit + 1 < CLI_COUNT(units); unit++)
        amount /= 1024;
    cli_text_printf(text, unit == 0 ? "%.0f %s" : "%.1f %s", amount, units[unit]);
}

/* ---- progress ---- */

void cli_progress_begin(struct cli_progress *progress, const char *verb)
{
    *progress = (struct cli_progress){
        .verb = verb, .started = cli_now(), .shown = 0, .on = cli_is_terminal(stderr)};
}

static void put_bar(struct cli_text *line, double part)
{
    const size_t filled = (size_t)(part * 24);
    cli_text_put_c(line, " [");
    for (size_t i = 0; i < 24; i++)
        cli_text_put_char(line, i < filled ? '#' : '.');
    cli_text_printf(line, "] %3.0f %%", part * 100);
}

void cli_progress_show(struct cli_progress *progress, uint64_t done, uint64_t total, uint64_t rows)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    const double now = cli_now();

    if (!progress->on || now - progress->shown < 0.1)
        return;
    progress->shown = now;
    cli_text_printf(&line, "\r%s", progress->verb);
    if (total > 0)
        put_bar(&line, done < total ? (double)done / (double)total : 1);
    cli_text_put_c(&line, "  ");
    cli_text_put_count(&line, rows);
    cli_text_put_c(&line, " rows, ");
    const double seconds = now - progress->started;
    cli_text_put_count(&line, seconds > 0 ? (uint64_t)((double)rows / seconds) : 0);
    cli_text_put_c(&line, " rows/s\033[K");
    (void)fwrite(line.ptr, 1, line.len, stderr);
}

void cli_progress_end(struct cli_progress *progress)
{
    if (progress->on)
        (void)fputs("\r\033[K", stderr); /* the summary takes the bar's place */
    progress->on = false;
}
