/**
 * @file knowledge.h
 * Layers of knowledge: rows that override each other by scope, and the messages about drafts.
 *
 * A row belongs to the platform, to a customer or to a user; nearer rows override farther ones
 * whole, through the link to the row they came from (their *origin*).  The functions here decide
 * which rows win for a caller, say what each of them hides, and report what a reader should not
 * have to guess: rivals of one scope, circles, links that point the wrong way.
 *
 * No client is needed.  Rows are only read, never copied or kept: a result names them by their
 * index in the array it was made from.  Source: spec platform.md section 4.
 */
#ifndef TEARS_KNOWLEDGE_H
#define TEARS_KNOWLEDGE_H

#include "base.h"
#include "text.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Bounds of this module. */
enum {
    TEARS_ORIGIN_DEPTH_MAX = 32,            /**< ancestors of a row */
    TEARS_LAYER_ROWS_MAX = 1 << 20,         /**< rows of one merge */
    TEARS_DRAFT_BYTES_MAX = 8 * 1024 * 1024 /**< of a draft message or an enforcement record */
};

/** Whose a row is, nearest to the caller last.  The numbers are the ranks. */
enum { TEARS_SCOPE_PLATFORM = 0, TEARS_SCOPE_CUSTOMER = 1, TEARS_SCOPE_USER = 2 };

/** In struct tears_layer.shadows_scope: nothing of another scope is hidden. */
#define TEARS_SCOPE_NONE UINT32_MAX

/** A UUID, or none.  All zero is none. */
struct tears_optional_uuid {
    bool is_set;
    uint8_t bytes[16]; /**< in network order */
};

/* ---- scopes ---------------------------------------------------------------------------------- */

/**
 * The scope of a row, from which owners it has.
 * @param customer_id  16 bytes, or NULL for none.
 * @param user_id      16 bytes, or NULL for none.
 * @param scope_out    TEARS_SCOPE_*.
 * @return TEARS_OK; TEARS_INVALID: a user without a customer; TEARS_MISUSE: scope_out is NULL.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_scope_derive(const uint8_t *customer_id,
                                                        const uint8_t *user_id, uint32_t *scope_out,
                                                        struct tears_error *error_out);

/** "platform", "customer" or "user"; "none" for every other number.  @thread any  @since 0.1 */
TEARS_API const char *tears_scope_name(uint32_t scope);

/**
 * The scope of that name, exactly as tears_scope_name writes it.
 * @return TEARS_OK; TEARS_INVALID: no such scope; TEARS_MISUSE: scope_out is NULL.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_scope_parse(struct tears_str name, uint32_t *scope_out,
                                                       struct tears_error *error_out);

/**
 * The text by which a concept names its table: `schema.table`, without quoting.
 * @param schema   may be empty or absent (ptr NULL), like `table`.
 * @param ref_out  the caller's, ended by tears_owned_text_free; all zero when a part is empty.
 * @return TEARS_OK, TEARS_NO_MEMORY, TEARS_LIMIT (too long); TEARS_MISUSE: ref_out is NULL.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_table_ref(struct tears_str schema,
                                                     struct tears_str table,
                                                     struct tears_owned_text *ref_out,
                                                     struct tears_error *error_out);

/* ---- links to origins, checked before they are written --------------------------------------- */

/**
 * Looks up the origin of a row.  A row that is not known, and one without origin, leave
 * `origin_out` unset; both end the walk.
 * @return TEARS_OK, or what tears_origin_check shall return in its turn.
 */
typedef tears_status (*tears_origin_fn)(void *owner, const uint8_t id[16],
                                        struct tears_optional_uuid *origin_out);

/**
 * Whether a row may get this origin: the way from there must end, without coming to the row itself,
 * within TEARS_ORIGIN_DEPTH_MAX rows.  For entries and concepts alike, before they are written.
 * @param entry_id   the row that is about to be written.
 * @param origin_id  its proposed origin; NULL or unset is always right.
 * @param origin_of  called at most TEARS_ORIGIN_DEPTH_MAX times, with `owner`.
 * @return TEARS_OK; TEARS_INVALID: the links run in a circle; TEARS_LIMIT: too many ancestors;
 *         TEARS_MISUSE: entry_id or origin_of is NULL; or what origin_of gave.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_origin_check(const uint8_t *entry_id,
                                                        const struct tears_optional_uuid *origin_id,
                                                        tears_origin_fn origin_of, void *owner,
                                                        struct tears_error *error_out);

/* ---- rows ------------------------------------------------------------------------------------ */

/** What a query about a table must respect.  All text is UTF-8. */
struct tears_enforcement {
    struct tears_str table;
    const struct tears_str *required_predicates;
    size_t required_predicate_count;
    bool forbidden_bare_aggregate;
    struct tears_str canonical_sql; /**< ptr NULL: none */
    struct tears_str note;
};

/** A playbook entry, as it was read.  All zero but `id` and `scope` is an entry with defaults. */
struct tears_entry {
    uint8_t id[16];
    uint32_t scope; /**< TEARS_SCOPE_* */
    bool always_inject;
    struct tears_optional_uuid origin_id; /**< the entry it overrides */
    struct tears_str title;
    struct tears_str body;
    const struct tears_str *tags;
    size_t tag_count;
    struct tears_optional_uuid datasource_id;
    struct tears_optional_uuid namespace_id;
    const struct tears_enforcement *enforcement; /**< NULL: none */
};

/** A concept, as it was read. */
struct tears_concept {
    uint8_t id[16];
    uint32_t scope; /**< TEARS_SCOPE_* */
    bool always_inject;
    struct tears_optional_uuid origin_id; /**< the concept it overrides */
    struct tears_str name;                /**< UTF-8 */
    const struct tears_str *aliases;      /**< UTF-8 */
    size_t alias_count;
    struct tears_str definition;
    struct tears_optional_uuid datasource_table_id;
    struct tears_str datasource_table_ref; /**< ptr NULL: none; see tears_table_ref */
    struct tears_str sql_fragment;         /**< ptr NULL: none; for people, never executed */
    struct tears_str caveats;              /**< ptr NULL: none */
    const struct tears_str *tags;
    size_t tag_count;
};

/* ---- merging --------------------------------------------------------------------------------- */

/** What is odd about a layer; bits of struct tears_layer.findings.  None of them fails a merge. */
enum {
    /** Two rows of one scope are in the chain: they override the same row without knowing of each
     * other.  The larger id goes before. */
    TEARS_LAYER_SIBLINGS = 1,
    /** The links run in a circle; all of it is one chain. */
    TEARS_LAYER_CYCLE = 2,
    /** A row's origin is not of a farther scope than the row itself. */
    TEARS_LAYER_DIRECTION = 4,
    /** An id was given more than once; the last one's link counts. */
    TEARS_LAYER_DUPLICATE = 8,
    /** The chain hangs on an origin that is not among the rows. */
    TEARS_LAYER_HIDDEN_ORIGIN = 16,
    /** A row has more than TEARS_ORIGIN_DEPTH_MAX ancestors. */
    TEARS_LAYER_DEEP = 32
};

/** One chain of rows that override each other: who wins, and what that hides. */
struct tears_layer {
    size_t winner;          /**< index of the row that is in force, whole */
    const size_t *shadowed; /**< indexes of the rows behind it, nearest first */
    size_t shadowed_count;
    /** How many of the first shadowed rows are of the winner's own scope: hidden although they have
     * the same right.  Somebody should decide between them. */
    size_t rival_count;
    uint32_t scope;         /**< of the winner */
    uint32_t shadows_scope; /**< of the nearest row behind winner and rivals; TEARS_SCOPE_NONE */
    uint32_t findings;      /**< TEARS_LAYER_* bits */
    bool ambiguous;         /**< concepts: another winner has the same name */
    size_t namesakes;       /**< ambiguous layers of one name have one number; 0: none */
};

/** The layers of a set of rows.  Made by tears_layers_of_*, ended by tears_layers_free. */
typedef struct tears_layers tears_layers;

/**
 * Merges entries: one layer for every chain, ordered by winner (scope, then id bytes; the
 * platform's first).  Takes time and memory in proportion to `count`, whatever the links look like.
 *
 * Rows whose common origin is not among the rows are one chain all the same.
 * @param entries     read only; may go away after the call, but the layers hold indexes into it.
 * @param layers_out  the caller's.
 * @return TEARS_OK; TEARS_INVALID: a scope that is none; TEARS_LIMIT: more than
 *         TEARS_LAYER_ROWS_MAX; TEARS_NO_MEMORY; TEARS_MISUSE: a NULL argument.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_layers_of_entries(const struct tears_entry *entries,
                                                             size_t count,
                                                             tears_layers **layers_out,
                                                             struct tears_error *error_out);

/** When two names are the same; after blanks around them (Unicode's too) were taken away. */
enum {
    /** By their lower case, as peers written in Python compare: "REVENUE" and "Revenue " are the
     * same, a German sharp s and "SS" are not. */
    TEARS_NAMES_LOWER = 0,
    /** By Unicode's compatibility caseless match: these are the same too, as are composed and
     * decomposed accents, and full-width letters. */
    TEARS_NAMES_FOLD = 1
};

/** How concepts are compared. */
struct tears_concept_options {
    size_t size;
    uint64_t names; /**< TEARS_NAMES_*; 0: as peers in Python do */
    uint64_t
        aliases; /**< 1: aliases are names too; 0: they play no part, as with peers in Python */
};
#define TEARS_CONCEPT_OPTIONS_INIT TEARS_SIZED(struct tears_concept_options)

/**
 * Merges concepts: the same, and then every winner whose name another winner has too is marked as
 * ambiguous.  Empty names are never ambiguous.
 * @param concepts    see tears_layers_of_entries.
 * @param options     NULL: TEARS_CONCEPT_OPTIONS_INIT.
 * @param layers_out  the caller's.
 * @return as tears_layers_of_entries; TEARS_INVALID also: a winner's name is not UTF-8;
 *         TEARS_UNSUPPORTED: an option that this version does not know.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_layers_of_concepts(
    const struct tears_concept *concepts, size_t count, const struct tears_concept_options *options,
    tears_layers **layers_out, struct tears_error *error_out);

/** How many layers there are; 0 for NULL.  @thread any  @since 0.1 */
TEARS_API size_t tears_layers_count(const tears_layers *layers);

/** The layer at `index`, which lives as long as `layers`; NULL past the end.  @thread any  @since
 * 0.1 */
TEARS_API const struct tears_layer *tears_layers_at(const tears_layers *layers, size_t index);

/** Ends the layers; NULL is accepted.  @thread any  @since 0.1 */
TEARS_API void tears_layers_free(tears_layers *layers);

/* ---- draft messages -------------------------------------------------------------------------- */

/** What a draft is to become. */
enum { TEARS_DRAFT_ENTRY = 0, TEARS_DRAFT_CONCEPT = 1 };

/** What a command does to a draft. */
enum { TEARS_DRAFT_CONFIRM = 0, TEARS_DRAFT_EDIT = 1, TEARS_DRAFT_DISCARD = 2 };

/** Which of its two parts a message has. */
enum { TEARS_DRAFT_EVENT = 0, TEARS_DRAFT_COMMAND = 1 };

/** A draft was made: the receiver upserts one row with `draft_id` as its key. */
struct tears_draft_event {
    uint8_t draft_id[16];
    uint32_t target; /**< TEARS_DRAFT_ENTRY, TEARS_DRAFT_CONCEPT */
    uint8_t customer_id[16];
    uint8_t user_id[16];
    uint8_t datasource_id[16];
    struct tears_str title;
    struct tears_str body;
    struct tears_str related_domain; /**< "": none */
    uint8_t conversation_id[16];
    uint8_t message_id_source[16];
    int64_t turn_count;
    struct tears_optional_uuid contradicts_entity_id;
};

/** A user decides on a draft: the receiver obeys only if the draft is the user's and still one. */
struct tears_draft_command {
    uint8_t draft_id[16];
    uint32_t target; /**< TEARS_DRAFT_ENTRY, TEARS_DRAFT_CONCEPT */
    uint32_t op;     /**< TEARS_DRAFT_CONFIRM, TEARS_DRAFT_EDIT, TEARS_DRAFT_DISCARD */
    uint8_t user_id[16];
    struct tears_str title; /**< ptr NULL: none */
    struct tears_str body;  /**< ptr NULL: none */
};

/** One message of the subject `{namespace}.knowledge.draft`. */
struct tears_draft_message {
    uint32_t kind;                      /**< TEARS_DRAFT_EVENT, TEARS_DRAFT_COMMAND */
    struct tears_draft_event event;     /**< if it is one */
    struct tears_draft_command command; /**< if it is one */
};

/** A message that was received.  Made by tears_draft_decode, ended by tears_draft_free. */
typedef struct tears_draft tears_draft;

/**
 * Writes a message as peers do: compact JSON, UTF-8, nulls included.
 * @param text_out  the caller's, ended by tears_owned_text_free.
 * @return TEARS_OK; TEARS_INVALID: a number that is none of its enumeration, text that is not
 *         UTF-8; TEARS_LIMIT: more than TEARS_DRAFT_BYTES_MAX; TEARS_NO_MEMORY; TEARS_MISUSE: a
 *         NULL argument.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_draft_encode(const struct tears_draft_message *message,
                                                        struct tears_owned_text *text_out,
                                                        struct tears_error *error_out);

/**
 * Reads a message.  Members that are not known are passed over; apart from that the reading is
 * strict: exactly the part that `kind` names must be there, UUIDs have hyphens, numbers are
 * numbers, and no member may be given twice.
 * @param draft_out  the caller's, ended by tears_draft_free.
 * @return TEARS_OK; TEARS_INVALID: not a valid message; TEARS_UNSUPPORTED: its `version` is not 1
 *         (absent is 1); TEARS_LIMIT: more than TEARS_DRAFT_BYTES_MAX; TEARS_NO_MEMORY;
 *         TEARS_MISUSE: draft_out is NULL.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_draft_decode(struct tears_str payload,
                                                        tears_draft **draft_out,
                                                        struct tears_error *error_out);

/** What the message says; lives as long as `draft`.  NULL for NULL.  @thread any  @since 0.1 */
TEARS_API const struct tears_draft_message *tears_draft_message(const tears_draft *draft);

/** Ends a received message; NULL is accepted.  @thread any  @since 0.1 */
TEARS_API void tears_draft_free(tears_draft *draft);

/* ---- enforcement records --------------------------------------------------------------------- */

/** An enforcement record that was read.  Made by tears_rule_decode, ended by tears_rule_free. */
typedef struct tears_rule tears_rule;

/**
 * Writes a record as peers do: compact JSON, UTF-8, members in the order of the struct.
 * @return as tears_draft_encode.  @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status
tears_enforcement_encode(const struct tears_enforcement *enforcement,
                         struct tears_owned_text *text_out, struct tears_error *error_out);

/**
 * Reads a record, as strictly as tears_draft_decode.  `canonical_sql` may be absent.
 * @return TEARS_OK; TEARS_INVALID: not a valid record; TEARS_LIMIT, TEARS_NO_MEMORY, TEARS_MISUSE.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_rule_decode(struct tears_str json, tears_rule **rule_out,
                                                       struct tears_error *error_out);

/** What the record says; lives as long as `rule`.  NULL for NULL.  @thread any  @since 0.1 */
TEARS_API const struct tears_enforcement *tears_rule_enforcement(const tears_rule *rule);

/** Ends a record; NULL is accepted.  @thread any  @since 0.1 */
TEARS_API void tears_rule_free(tears_rule *rule);

#ifdef __cplusplus
}
#endif
#endif
