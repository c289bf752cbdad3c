/*
 * evidence.c -- reads and writes the folder of a run.
 *
 * Owns:     the mapped files of an opened folder.
 * Must not know: what is judged.
 * Threads:  one.
 * Fails:    when a file is not there or is none of ours.
 * Begin at: chaos_folder_open().
 */
#include "evidence.h"

#include "history_impl.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum { LOGS_MAX = 4096 };

static const char truth_magic[8] = "chaostr1";

static FILE *open_in(const char *folder, const char *name, const char *mode)
{
    char path[512];
    const int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    return length > 0 && (size_t)length < sizeof path ? fopen(path, mode) : NULL;
}

/* The counts and rules first, then the arrays; read on the machine that wrote it. */
bool chaos_truth_write(const char *folder, const struct chaos_truth *truth)
{
    FILE *file = open_in(folder, CHAOS_TRUTH_FILE, "wb");
    if (file == NULL)
        return false;
    bool is_written = fwrite(truth_magic, sizeof truth_magic, 1, file) == 1 &&
                      fwrite(truth, sizeof *truth, 1, file) == 1;
    if (truth->change_count > 0)
        is_written = is_written && fwrite(truth->changes, sizeof *truth->changes,
                                          truth->change_count, file) == truth->change_count;
    if (truth->row_count > 0)
        is_written = is_written && fwrite(truth->rows, sizeof *truth->rows, truth->row_count,
                                          file) == truth->row_count;
    return fclose(file) == 0 && is_written;
}

static bool read_truth(const char *folder, struct chaos_truth *truth)
{
    char found[sizeof truth_magic];
    FILE *file = open_in(folder, CHAOS_TRUTH_FILE, "rb");
    if (file == NULL)
        return false;
    bool is_read = fread(found, sizeof found, 1, file) == 1 &&
                   memcmp(found, truth_magic, sizeof found) == 0 &&
                   fread(truth, sizeof *truth, 1, file) == 1;
    truth->changes = NULL;
    truth->rows = NULL;
    if (is_read) {
        truth->changes = chaos_alloc(truth->change_count, sizeof *truth->changes);
        truth->rows = chaos_alloc(truth->row_count, sizeof *truth->rows);
        is_read =
            fread(truth->changes, sizeof *truth->changes, truth->change_count, file) ==
                truth->change_count &&
            fread(truth->rows, sizeof *truth->rows, truth->row_count, file) == truth->row_count;
    }
    fclose(file);
    return is_read;
}

static bool is_log(const char *name)
{
    const size_t length = strlen(name);
    const size_t ending = strlen(CHAOS_LOG_ENDING);
    return length > ending && strcmp(name + length - ending, CHAOS_LOG_ENDING) == 0;
}

static void open_logs(struct chaos_folder *folder)
{
    char path[600];
    DIR *entries = opendir(folder->path);
    folder->logs = chaos_alloc(LOGS_MAX, sizeof *folder->logs);
    for (const struct dirent *entry = entries != NULL ? readdir(entries) : NULL; entry != NULL;
         entry = readdir(entries)) {
        if (!is_log(entry->d_name) || folder->log_count == LOGS_MAX)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder->path, entry->d_name);
        if (chaos_log_open(path, &folder->logs[folder->log_count]))
            folder->log_count++;
    }
    if (entries != NULL)
        closedir(entries);
}

static void collect_records(struct chaos_folder *folder)
{
    size_t count = 0;
    for (size_t i = 0; i < folder->log_count; i++)
        count += folder->logs[i].count;
    folder->records = chaos_alloc(count, sizeof *folder->records);
    count = 0;
    for (size_t i = 0; i < folder->log_count; i++)
        for (size_t k = 0; k < folder->logs[i].count; k++) {
            const struct chaos_record *record = &folder->logs[i].records[k];
            if (record->state != CHAOS_EMPTY && record->table < CHAOS_TABLES &&
                record->key < CHAOS_KEYS_MAX)
                folder->records[count++] = record;
        }
    folder->evidence.records = folder->records;
    folder->evidence.record_count = count;
}

bool chaos_folder_open(const char *path, struct chaos_folder *folder)
{
    *folder = (struct chaos_folder){0};
    if (snprintf(folder->path, sizeof folder->path, "%s", path) >= (int)sizeof folder->path ||
        !read_truth(path, &folder->truth)) {
        fprintf(stderr, "chaos: %s has no %s of a run\n", path, CHAOS_TRUTH_FILE);
        chaos_folder_close(folder);
        return false;
    }
    open_logs(folder);
    collect_records(folder);
    folder->evidence.changes = folder->truth.changes;
    folder->evidence.change_count = folder->truth.change_count;
    folder->evidence.rows = folder->truth.rows;
    folder->evidence.row_count = folder->truth.row_count;
    folder->evidence.has_rows = folder->truth.has_rows;
    folder->evidence.rules = folder->truth.rules;
    return true;
}

void chaos_folder_close(struct chaos_folder *folder)
{
    for (size_t i = 0; i < folder->log_count; i++)
        chaos_log_close(&folder->logs[i]);
    free(folder->logs);
    free(folder->records);
    free(folder->truth.changes);
    free(folder->truth.rows);
    *folder = (struct chaos_folder){0};
}
