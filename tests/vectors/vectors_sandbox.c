/*
 * vectors_sandbox.c -- sandbox.jsonl: keys, patterns, paths below roots.
 *
 * Threads:  one.
 * Begin at: sandbox_ops.
 */
#include "vectors/vectors.h"

#include <tears/sandbox.h>

static void free_sandbox(tears_sandbox **sandbox)
{
    tears_sandbox_free(*sandbox);
}

static const char *reason_of(int32_t detail)
{
    switch (detail) {
    case TEARS_SANDBOX_EMPTY:
        return "empty";
    case TEARS_SANDBOX_TOO_LONG:
        return "too_long";
    case TEARS_SANDBOX_CONTROL_CHARACTER:
        return "control_character";
    case TEARS_SANDBOX_ABSOLUTE_PATH:
        return "absolute_path";
    case TEARS_SANDBOX_PARENT_REFERENCE:
        return "parent_reference";
    case TEARS_SANDBOX_NO_MATCH:
        return "no_match";
    case TEARS_SANDBOX_UNKNOWN_ACTION:
        return "unknown_action";
    default:
        return "another";
    }
}

static json_t *check(struct vector *vector)
{
    struct tears_error error;
    struct tears_sandbox_options options = TEARS_SANDBOX_OPTIONS_INIT;
    T3_AUTO(free_sandbox) tears_sandbox *sandbox = NULL;
    options.allow_read =
        names_of(vector, json_object_get(vector->in, "allow_read"), &options.allow_read_count);
    options.allow_write =
        names_of(vector, json_object_get(vector->in, "allow_write"), &options.allow_write_count);
    must(tears_sandbox_new(&options, &sandbox, NULL), "tears_sandbox_new");
    const tears_status status =
        tears_sandbox_check(sandbox, in_text(vector, "action"), in_text(vector, "key"), &error);
    if (status == TEARS_OK)
        return json_pack("{s:s}", "decision", "allow");
    return json_pack("{s:s, s:s}", "decision", "deny", "reason", reason_of(error.detail));
}

static json_t *glob(struct vector *vector)
{
    const bool matches = tears_sandbox_glob(in_text(vector, "pattern"), in_text(vector, "key"));
    return json_pack("{s:b}", "match", (int)matches);
}

static json_t *validate_syntax(struct vector *vector)
{
    if (tears_sandbox_check_key(in_text(vector, "key"), NULL) != TEARS_OK)
        return refuse(vector, "denied");
    return json_pack("{s:b}", "ok", 1);
}

/* The roots of the vector, in its tree. */
static tears_sandbox *sandbox_of(struct vector *vector, const struct vector_tree *tree)
{
    struct tears_sandbox_root roots[8];
    struct tears_sandbox_options options = TEARS_SANDBOX_OPTIONS_INIT;
    tears_sandbox *sandbox = NULL;
    const char *name;
    json_t *path;
    options.roots = roots;
    json_object_foreach(json_object_get(vector->in, "roots"), name, path)
    {
        T3_AUTO(t3_buf_done) struct t3_buf below = {0};
        struct tears_str text;
        must(t3_buf_printf(&below, "%s/%s", tree->base, json_string_value(path)), "buffer");
        must(t3_arena_str(vector->arena, t3_buf_str(&below), &text), "arena");
        if (options.root_count == T3_COUNT(roots))
            give_up("more roots than expected");
        roots[options.root_count].name = tears_str_c(name);
        roots[options.root_count++].path = text;
    }
    must(tears_sandbox_new(&options, &sandbox, NULL), "tears_sandbox_new");
    return sandbox;
}

/* The text with the folder's name as $BASE. */
static json_t *give_path(const struct vector_tree *tree, struct tears_str path)
{
    const size_t len = strlen(tree->base);
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    if (path.len < len || memcmp(path.ptr, tree->base, len) != 0)
        return give_member("path", path);
    must(t3_buf_printf(&text, "$BASE%.*s", (int)(path.len - len), path.ptr + len), "buffer");
    return give_member("path", t3_buf_str(&text));
}

static json_t *resolve(struct vector *vector)
{
    struct vector_tree tree;
    struct tears_error error;
    struct tears_owned_text path = TEARS_OWNED_TEXT_INIT;
    tree_make(&tree, vector);
    T3_AUTO(free_sandbox) tears_sandbox *sandbox = sandbox_of(vector, &tree);
    const tears_status status = tears_sandbox_resolve(sandbox, in_text(vector, "root"),
                                                      in_text(vector, "path"), &path, &error);
    tree_remove(&tree);
    if (status != TEARS_OK)
        return refuse(vector, error.detail == TEARS_SANDBOX_UNKNOWN_ROOT ? "unknown_root"
                              : status == TEARS_DENIED                   ? "denied"
                                                       : tears_status_name(status));
    json_t *out = give_path(&tree, tears_owned_text_str(&path));
    tears_owned_text_free(&path);
    return out;
}

/* A policy that says no for the reason it was given. */
static tears_status say_no(void *owner, struct tears_str action, struct tears_str target,
                           struct tears_error *error)
{
    const struct tears_str *reason = owner;
    (void)action;
    (void)target;
    if (reason->len >= sizeof error->message)
        give_up("a long reason");
    memcpy(error->message, reason->ptr, reason->len);
    error->message[reason->len] = '\0';
    return TEARS_DENIED;
}

static json_t *denied_message(struct vector *vector)
{
    struct tears_error error;
    struct tears_str reason = in_text(vector, "reason");
    struct tears_policy policy = TEARS_POLICY_INIT;
    policy.owner = &reason;
    policy.check = say_no;
    if (tears_policy_enforce(&policy, in_text(vector, "action"), in_text(vector, "target"),
                             &error) != TEARS_DENIED)
        give_up("tears_policy_enforce");
    return give_member("message", tears_str_c(error.message));
}

const struct vector_op sandbox_ops[] = {
    {"sandbox", "check", check, false},
    {"sandbox", "glob", glob, false},
    {"sandbox", "validate_syntax", validate_syntax, false},
    {"sandbox", "resolve", resolve, false},
    {"sandbox", "denied_message", denied_message, false},
    {NULL, NULL, NULL, false},
};
