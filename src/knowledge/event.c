/*
 * event.c -- messages about drafts: the event, the command, and the envelope around them.
 *
 * Owns:     a received message and its memory.
 * Must not know: NATS, tables.
 * Threads:  any; a received message is not changed.
 * Fails:    TEARS_INVALID on what is no message; TEARS_UNSUPPORTED on another version of it;
 *           TEARS_LIMIT, TEARS_NO_MEMORY.
 * Begin at: tears_draft_decode().
 *
 * Source: spec platform.md 4.5.  The envelope says which of its two parts it has; that it really
 * has this one and not the other is checked here, because peers do not check it.  `version` is our
 * own addition: nobody writes it while it is 1, so today's messages look as they always did.
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/owned_text.h"
#include "knowledge/event_object.h"

static const char origin[] = "knowledge.event";

enum { VERSION = 1 };

struct tears_draft {
    struct t3_arena arena; /* of the message's text */
    struct tears_draft_message message;
};

/* ---- members --------------------------------------------------------------------------------- */

static const char *const target_labels[] = {"entry", "concept", NULL};
static const char *const op_labels[] = {"confirm", "edit", "discard", NULL};
static const char *const kind_labels[] = {"event", "command", NULL};

#define EVENT(member) offsetof(struct tears_draft_event, member)
static const struct t3_member event_members[] = {
    {"draft_id", T3_MEMBER_UUID, false, EVENT(draft_id), NULL},
    {"target", T3_MEMBER_LABEL, false, EVENT(target), target_labels},
    {"customer_id", T3_MEMBER_UUID, false, EVENT(customer_id), NULL},
    {"user_id", T3_MEMBER_UUID, false, EVENT(user_id), NULL},
    {"datasource_id", T3_MEMBER_UUID, false, EVENT(datasource_id), NULL},
    {"title", T3_MEMBER_TEXT, false, EVENT(title), NULL},
    {"body", T3_MEMBER_TEXT, false, EVENT(body), NULL},
    {"related_domain", T3_MEMBER_TEXT, true, EVENT(related_domain), NULL},
    {"conversation_id", T3_MEMBER_UUID, false, EVENT(conversation_id), NULL},
    {"message_id_source", T3_MEMBER_UUID, false, EVENT(message_id_source), NULL},
    {"turn_count", T3_MEMBER_INTEGER, false, EVENT(turn_count), NULL},
    {"contradicts_entity_id", T3_MEMBER_OPTIONAL_UUID, true, EVENT(contradicts_entity_id), NULL},
};
#undef EVENT

#define COMMAND(member) offsetof(struct tears_draft_command, member)
static const struct t3_member command_members[] = {
    {"draft_id", T3_MEMBER_UUID, false, COMMAND(draft_id), NULL},
    {"target", T3_MEMBER_LABEL, false, COMMAND(target), target_labels},
    {"op", T3_MEMBER_LABEL, false, COMMAND(op), op_labels},
    {"user_id", T3_MEMBER_UUID, false, COMMAND(user_id), NULL},
    {"title", T3_MEMBER_OPTIONAL_TEXT, true, COMMAND(title), NULL},
    {"body", T3_MEMBER_OPTIONAL_TEXT, true, COMMAND(body), NULL},
};
#undef COMMAND

/* The parts are JSON text here: which shape they must have is known only after `kind`. */
struct envelope {
    uint32_t kind;
    struct t3_json_value event;
    struct t3_json_value command;
    int64_t version; /* read only */
};

#define ENVELOPE(member) offsetof(struct envelope, member)
static const struct t3_member envelope_members[] = {
    {"kind", T3_MEMBER_LABEL, false, ENVELOPE(kind), kind_labels},
    {"event", T3_MEMBER_OBJECT, true, ENVELOPE(event), NULL},
    {"command", T3_MEMBER_OBJECT, true, ENVELOPE(command), NULL},
    {"version", T3_MEMBER_INTEGER, true, ENVELOPE(version), NULL},
};
#undef ENVELOPE

static const struct t3_object event_object = {"draft event", event_members,
                                              T3_COUNT(event_members)};
static const struct t3_object command_object = {"draft command", command_members,
                                                T3_COUNT(command_members)};
static const struct t3_object envelope_object = {"draft message", envelope_members,
                                                 T3_COUNT(envelope_members)};
/* What is written: all but the version. */
static const struct t3_object envelope_written = {"draft message", envelope_members,
                                                  T3_COUNT(envelope_members) - 1};

/* ---- writing --------------------------------------------------------------------------------- */

static tears_status encode(const struct tears_draft_message *message, struct t3_buf *out,
                           struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf part = {.len_max = TEARS_DRAFT_BYTES_MAX};
    struct envelope envelope = {.kind = message->kind};
    if (message->kind == TEARS_DRAFT_EVENT) {
        T3_TRY(t3_object_encode(&event_object, &message->event, &part, error_out));
        envelope.event.text = t3_buf_str(&part);
    } else if (message->kind == TEARS_DRAFT_COMMAND) {
        T3_TRY(t3_object_encode(&command_object, &message->command, &part, error_out));
        envelope.command.text = t3_buf_str(&part);
    }
    return t3_object_encode(&envelope_written, &envelope, out, error_out);
}

tears_status tears_draft_encode(const struct tears_draft_message *message,
                                struct tears_owned_text *text_out, struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {.len_max = TEARS_DRAFT_BYTES_MAX};
    if (message == NULL || text_out == NULL)
        return t3_fail(error_out, TEARS_MISUSE, origin, "tears_draft_encode: %s is NULL",
                       message == NULL ? "message" : "text_out");
    T3_TRY(encode(message, &text, error_out));
    return t3_owned_text_take(&text, false, text_out);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Whether exactly the part is there that `kind` names. */
static tears_status check_parts(const struct envelope *envelope, struct tears_error *error_out)
{
    const bool is_event = envelope->kind == TEARS_DRAFT_EVENT;
    const struct t3_json_value *named = is_event ? &envelope->event : &envelope->command;
    const struct t3_json_value *other = is_event ? &envelope->command : &envelope->event;
    if (envelope->version != VERSION)
        return t3_fail(error_out, TEARS_UNSUPPORTED, origin,
                       "draft message: version %lld; this library knows %d",
                       (long long)envelope->version, (int)VERSION);
    if (named->text.ptr == NULL || other->text.ptr != NULL)
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "draft message: \"kind\" is \"%s\", but \"%s\" is %s",
                       kind_labels[envelope->kind],
                       kind_labels[named->text.ptr == NULL ? envelope->kind : 1 - envelope->kind],
                       named->text.ptr == NULL ? "missing" : "given");
    return TEARS_OK;
}

static tears_status decode(struct tears_str payload, tears_draft *draft,
                           struct tears_error *error_out)
{
    struct tears_draft_message *message = &draft->message;
    struct envelope envelope = {.version = VERSION};
    T3_TRY(t3_object_decode(&envelope_object, payload, &draft->arena, &envelope, error_out));
    T3_TRY(check_parts(&envelope, error_out));
    message->kind = envelope.kind;
    message->event.related_domain = TEARS_STR("");
    if (envelope.kind == TEARS_DRAFT_COMMAND)
        return t3_object_decode(&command_object, envelope.command.text, &draft->arena,
                                &message->command, error_out);
    return t3_object_decode(&event_object, envelope.event.text, &draft->arena, &message->event,
                            error_out);
}

static void free_draft_auto(tears_draft **draft)
{
    tears_draft_free(*draft);
}

tears_status tears_draft_decode(struct tears_str payload, tears_draft **draft_out,
                                struct tears_error *error_out)
{
    if (draft_out == NULL)
        return t3_fail(error_out, TEARS_MISUSE, origin, "tears_draft_decode: draft_out is NULL");
    if (payload.len > TEARS_DRAFT_BYTES_MAX)
        return t3_fail(error_out, TEARS_LIMIT, origin,
                       "a draft message of %zu bytes; at most %d are read", payload.len,
                       (int)TEARS_DRAFT_BYTES_MAX);
    T3_AUTO(free_draft_auto) tears_draft *draft = t3_alloc_zero(1, sizeof *draft);
    if (draft == NULL)
        return t3_fail_memory(error_out, origin);
    T3_TRY(decode(payload, draft, error_out));
    *draft_out = T3_TAKE(draft);
    return TEARS_OK;
}

const struct tears_draft_message *tears_draft_message(const tears_draft *draft)
{
    return draft != NULL ? &draft->message : NULL;
}

void tears_draft_free(tears_draft *draft)
{
    if (draft == NULL)
        return;
    t3_arena_done(&draft->arena);
    t3_free(draft);
}
