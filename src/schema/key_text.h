/*
 * key_text.h -- from the text of a key in L2 back to the keys it may stand for.
 *
 * Several keys may have one text ("a_b","c" and "a","b_c"), and a text that is a hash tells nothing.  Whoever drops
 * cached rows may drop one too many: so every key that fits is given.
 */
#ifndef T3_SCHEMA_KEY_TEXT_H
#define T3_SCHEMA_KEY_TEXT_H

#include "schema/key.h"

/* Called for each key that fits; the key is valid for the call. */
typedef void (*t3_key_fn)(void *owner, const struct t3_key *key);

/*
 * `body` is what follows "table." in the L2 key.  TEARS_OK: all keys it may stand for were given (none when it fits none);
 * TEARS_UNSUPPORTED: it is, or may be, a hash, or its underscores can be shared out among the key's columns of text in more
 * than 64 ways: none was given; TEARS_NO_MEMORY: some may have been given.
 */
tears_status t3_key_from_text(const struct tears_schema *schema, struct tears_str body,
                              t3_key_fn found, void *owner);

/*
 * The same from the key's ids, a JSON array of texts as in a notice; a decimal comes out without an exponent.
 * TEARS_INVALID: they do not fit the table; TEARS_NO_MEMORY.
 */
tears_status t3_key_from_ids(const struct tears_schema *schema, struct tears_str ids_json,
                             struct t3_arena *arena, struct t3_key *key_out);

/* Appends the ids, as in a notice; nothing when t3_key_from_text can do with the key's L2 text. */
tears_status t3_key_put_ids_of_hashed(const struct tears_schema *schema, const struct t3_key *key,
                                      struct t3_buf *out);

#endif
