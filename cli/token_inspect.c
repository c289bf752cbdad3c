/*
 * token_inspect.c -- `tears token inspect`: a token's header and payload, believed in nothing.
 *
 * Owns:     the reading of a token that nobody has verified.
 * Must not know: keys.  The library reads no payload before its signature is verified; a person who looks for the
 *           reason why a token is refused has to, so the command does it on its own.
 * Threads:  the main thread.
 * Fails:    4 for what is not three segments of which two are JSON objects.
 * Begin at: cli_token_inspect().
 */
#include "token_inspect.h"

#include <jansson.h>
#include <stdlib.h>

enum { TOKEN_BYTES_MAX = 16384 };

static int digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* Decodes base64url without padding; false for anything else. */
static bool decode(struct tears_str text, struct cli_text *out)
{
    unsigned bits = 0;
    unsigned count = 0;

    for (size_t i = 0; i < text.len; i++) {
        const int digit = digit_of(text.ptr[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (unsigned)digit;
        count += 6;
        if (count >= 8) {
            count -= 8;
            cli_text_put_char(out, (char)(bits >> count & 0xff));
            bits &= (1u << count) - 1;
        }
    }
    return text.len % 4 != 1 &&
           bits == 0; /* what is left over are zeros in the one right spelling */
}

/* A segment as a JSON object; NULL: it is none. */
static json_t *read_segment(struct tears_str segment)
{
    CLI_AUTO(cli_text_done) struct cli_text decoded = {0};

    if (!decode(segment, &decoded) || decoded.len == 0)
        return NULL;
    json_t *object = json_loadb(decoded.ptr, decoded.len, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(object))
        return object;
    json_decref(object);
    return NULL;
}

/* The text up to the next dot; *rest is what follows it. */
static bool take_segment(struct tears_str *rest, struct tears_str *segment_out)
{
    const char *dot = rest->len > 0 ? memchr(rest->ptr, '.', rest->len) : NULL;

    if (dot == NULL)
        return false;
    *segment_out = tears_str_n(rest->ptr, (size_t)(dot - rest->ptr));
    *rest = tears_str_n(dot + 1, rest->len - segment_out->len - 1);
    return true;
}

/* Only ASCII and no control characters: what a stranger wrote shall not steer the terminal. */
static void put_object(struct cli_text *out, const json_t *object, size_t flags)
{
    char *text = json_dumps(object, JSON_ENSURE_ASCII | flags);

    cli_text_put_c(out, text != NULL ? text : "null");
    free(text);
}

static int print(const struct cli_args *args, const json_t *header, const json_t *payload)
{
    CLI_AUTO(cli_text_done) struct cli_text out = {0};
    const size_t flags = args->json ? JSON_COMPACT : JSON_INDENT(2);

    cli_text_put_c(&out, args->json ? "{\"verified\":false,\"header\":"
                                    : "not verified: anybody can have written this\nheader ");
    put_object(&out, header, flags);
    cli_text_put_c(&out, args->json ? ",\"payload\":" : "\npayload ");
    put_object(&out, payload, flags);
    cli_text_put_c(&out, args->json ? "}" : "");
    return cli_print_line(args, cli_text_str(&out));
}

int cli_token_inspect(const struct cli_args *args, struct tears_str token)
{
    struct tears_str rest = token;
    struct tears_str header_text;
    struct tears_str payload_text;
    json_t *header = NULL;
    json_t *payload = NULL;
    int result = CLI_EXIT_OK;

    if (token.len <= TOKEN_BYTES_MAX && take_segment(&rest, &header_text) &&
        take_segment(&rest, &payload_text)) {
        header = read_segment(header_text);
        payload = read_segment(payload_text);
    }
    if (header != NULL && payload != NULL)
        result = print(args, header, payload);
    else
        result =
            cli_fail(args, CLI_EXIT_INVALID, "INVALID",
                     "this is no token: header.payload.signature, in base64url, of JSON objects");
    json_decref(header);
    json_decref(payload);
    return result;
}
