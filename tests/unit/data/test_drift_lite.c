/*
 * test_drift_lite.c -- drift of a SQLite file: each kind of difference is found, reported and repaired, and rows stay.
 */
#include "base/macros.h"
#include "support/drift_place.h"
#include "support/temp_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char declared[] =
    "CREATE TABLE owners (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, email TEXT "
    "UNIQUE);"
    "CREATE TABLE items (id INTEGER PRIMARY KEY, owner_id INTEGER NOT NULL REFERENCES owners (id)"
    " ON DELETE CASCADE, title TEXT NOT NULL DEFAULT 'untitled' COLLATE NOCASE,"
    " price REAL DEFAULT 0, amount INTEGER NOT NULL DEFAULT 1 CHECK (amount >= 0),"
    " total REAL GENERATED ALWAYS AS (price * amount) VIRTUAL, note TEXT,"
    " CONSTRAINT price_sane CHECK (price < 1000000), UNIQUE (owner_id, title));"
    "CREATE TABLE notes (item_id INTEGER REFERENCES items, body TEXT, PRIMARY KEY (item_id, body))"
    " WITHOUT ROWID;"
    "CREATE INDEX items_by_owner ON items (owner_id, title DESC);"
    "CREATE INDEX items_dear ON items (price) WHERE price > 100;"
    "CREATE INDEX items_lower ON items (lower(title));"
    "CREATE UNIQUE INDEX items_note ON items (note);"
    "CREATE TRIGGER items_named AFTER UPDATE OF title ON items BEGIN"
    " UPDATE owners SET name = name WHERE id = new.owner_id; END;";

static const char same_again[] =
    "CREATE TABLE IF NOT EXISTS notes (\"body\" text, item_id integer,"
    " PRIMARY KEY (item_id, body), FOREIGN KEY (item_id) REFERENCES items (id)) without rowid;"
    "create table owners (email text, name text not null,"
    " id integer primary key autoincrement /* numbers are never given twice */, unique (email));"
    "CREATE TABLE things (id INTEGER PRIMARY KEY, note TEXT,"
    " title text default 'untitled' collate nocase not null, \"owner_id\" INTEGER NOT NULL,"
    " amount INTEGER NOT NULL DEFAULT 1, price REAL DEFAULT 0,"
    " total REAL AS (price*amount), check(amount>=0), CONSTRAINT price_sane CHECK(price<1000000),"
    " UNIQUE (owner_id, title), FOREIGN KEY (owner_id) REFERENCES owners ON DELETE CASCADE);"
    "ALTER TABLE things RENAME TO items;"
    "create unique index items_note on items(note);"
    "CREATE INDEX items_lower ON items (LOWER(title));"
    "CREATE INDEX items_dear ON \"items\" (price) where price>100;"
    "CREATE INDEX items_by_owner ON items(owner_id, title DESC);"
    "CREATE TRIGGER items_named AFTER UPDATE OF title ON items BEGIN"
    " UPDATE owners SET name=name WHERE id=new.owner_id; END;";

static const char rows[] =
    "INSERT INTO owners (id, name, email) VALUES (1, 'Ada', 'ada@example.org'), (9, 'Bo', NULL);"
    "DELETE FROM owners WHERE id = 9;"
    "INSERT INTO items (id, owner_id, title, price, amount, note) VALUES (1, 1, 'lamp', 2.5, 4, "
    "'x');"
    "INSERT INTO notes VALUES (1, 'bright');";

#define TABLE   TEARS_DRIFT_OBJECT_TABLE
#define COLUMN  TEARS_DRIFT_OBJECT_COLUMN
#define PRIMARY TEARS_DRIFT_OBJECT_PRIMARY_KEY
#define UNIQUE  TEARS_DRIFT_OBJECT_UNIQUE
#define CHECK   TEARS_DRIFT_OBJECT_CHECK
#define FOREIGN TEARS_DRIFT_OBJECT_FOREIGN_KEY
#define INDEX   TEARS_DRIFT_OBJECT_INDEX
#define TRIGGER TEARS_DRIFT_OBJECT_TRIGGER

/* The table `owners` as it is after one thing has been written otherwise. */
#define OWNERS(text)                                                                \
    "PRAGMA foreign_keys = OFF; DROP TABLE owners; CREATE TABLE owners (" text ");" \
    "INSERT INTO owners (id, name, email) VALUES (1, 'Ada', 'ada@example.org')"
#define NOTES(text) "DROP TABLE notes; CREATE TABLE notes " text

static const struct drift_seed seeds[] = {
    {"table missing", "DROP TABLE notes", TEARS_DRIFT_MISSING, TABLE, "notes", "notes"},
    {"table extra", "CREATE TABLE spare (id)", TEARS_DRIFT_EXTRA, TABLE, "spare", "spare"},
    {"table that others refer to is extra",
     "CREATE TABLE spare (id INTEGER PRIMARY KEY); CREATE TABLE spore (id REFERENCES spare);"
     "INSERT INTO spare VALUES (1); INSERT INTO spore VALUES (1)",
     TEARS_DRIFT_EXTRA, TABLE, "spare", "spare"},
    {"table with row numbers",
     NOTES("(item_id INTEGER NOT NULL REFERENCES items, body TEXT NOT NULL,"
           " PRIMARY KEY (item_id, body))"),
     TEARS_DRIFT_DEFINITION, TABLE, "notes", "notes"},
    {"column missing", "DROP INDEX items_note; ALTER TABLE items DROP note", TEARS_DRIFT_MISSING,
     COLUMN, "items", "note"},
    {"generated column missing", "ALTER TABLE items DROP total", TEARS_DRIFT_MISSING, COLUMN,
     "items", "total"},
    {"column extra", "ALTER TABLE items ADD spare TEXT", TEARS_DRIFT_EXTRA, COLUMN, "items",
     "spare"},
    {"type", OWNERS("id INTEGER PRIMARY KEY AUTOINCREMENT, name BLOB NOT NULL, email TEXT UNIQUE"),
     TEARS_DRIFT_TYPE, COLUMN, "owners", "name"},
    {"collation",
     OWNERS("id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT COLLATE RTRIM NOT NULL,"
            " email TEXT UNIQUE"),
     TEARS_DRIFT_TYPE, COLUMN, "owners", "name"},
    {"may be null", OWNERS("id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, email TEXT UNIQUE"),
     TEARS_DRIFT_NULLABILITY, COLUMN, "owners", "name"},
    {"may not be null",
     OWNERS("id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE"),
     TEARS_DRIFT_NULLABILITY, COLUMN, "owners", "email"},
    {"default extra",
     OWNERS(
         "id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL DEFAULT 'x', email TEXT UNIQUE"),
     TEARS_DRIFT_DEFAULT, COLUMN, "owners", "name"},
    {"generated otherwise",
     "ALTER TABLE items DROP total; ALTER TABLE items ADD total REAL AS (price + amount)",
     TEARS_DRIFT_GENERATION, COLUMN, "items", "total"},
    {"generated no more", "ALTER TABLE items DROP total; ALTER TABLE items ADD total REAL",
     TEARS_DRIFT_GENERATION, COLUMN, "items", "total"},
    {"numbers may be given twice",
     OWNERS("id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT UNIQUE"),
     TEARS_DRIFT_DEFINITION, PRIMARY, "owners", ""},
    {"primary key of other columns",
     NOTES("(item_id INTEGER REFERENCES items, body TEXT, PRIMARY KEY (body, item_id)) WITHOUT "
           "ROWID"),
     TEARS_DRIFT_DEFINITION, PRIMARY, "notes", ""},
    {"primary key missing", OWNERS("id INTEGER, name TEXT NOT NULL, email TEXT UNIQUE"),
     TEARS_DRIFT_MISSING, PRIMARY, "owners", ""},
    {"unique missing",
     OWNERS("id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, email TEXT"),
     TEARS_DRIFT_MISSING, UNIQUE, "owners", ""},
    {"unique extra",
     OWNERS("id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, email TEXT UNIQUE,"
            " UNIQUE (name, email)"),
     TEARS_DRIFT_EXTRA, UNIQUE, "owners", ""},
    {"check extra",
     OWNERS("id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, email TEXT UNIQUE,"
            " CHECK (length(name) > 1)"),
     TEARS_DRIFT_EXTRA, CHECK, "owners", ""},
    {"check missing and changed",
     "DROP TABLE notes; DROP TABLE items; CREATE TABLE items (id INTEGER PRIMARY KEY,"
     " owner_id INTEGER NOT NULL REFERENCES owners (id) ON DELETE CASCADE,"
     " title TEXT NOT NULL DEFAULT 'untitled' COLLATE NOCASE, price REAL DEFAULT 0,"
     " amount INTEGER NOT NULL DEFAULT 1, total REAL GENERATED ALWAYS AS (price * amount) VIRTUAL,"
     " note TEXT, CONSTRAINT price_sane CHECK (price < 9), UNIQUE (owner_id, title))",
     TEARS_DRIFT_DEFINITION, CHECK, "items", "price_sane"},
    {"foreign key missing",
     NOTES("(item_id INTEGER, body TEXT, PRIMARY KEY (item_id, body))"
           " WITHOUT ROWID"),
     TEARS_DRIFT_MISSING, FOREIGN, "notes", ""},
    {"foreign key that does more",
     NOTES("(item_id INTEGER REFERENCES items ON DELETE SET NULL, body TEXT,"
           " PRIMARY KEY (item_id, body)) WITHOUT ROWID"),
     TEARS_DRIFT_MISSING, FOREIGN, "notes", ""},
    {"index missing", "DROP INDEX items_dear", TEARS_DRIFT_MISSING, INDEX, "items", "items_dear"},
    {"index extra", "CREATE INDEX spare ON items (price)", TEARS_DRIFT_EXTRA, INDEX, "items",
     "spare"},
    {"index of other rows",
     "DROP INDEX items_dear; CREATE INDEX items_dear ON items (price) WHERE price > 10",
     TEARS_DRIFT_DEFINITION, INDEX, "items", "items_dear"},
    {"index of another order",
     "DROP INDEX items_by_owner; CREATE INDEX items_by_owner ON items (owner_id, title)",
     TEARS_DRIFT_DEFINITION, INDEX, "items", "items_by_owner"},
    {"index of another expression",
     "DROP INDEX items_lower; CREATE INDEX items_lower ON items (upper(title))",
     TEARS_DRIFT_DEFINITION, INDEX, "items", "items_lower"},
    {"index not unique", "DROP INDEX items_note; CREATE INDEX items_note ON items (note)",
     TEARS_DRIFT_DEFINITION, INDEX, "items", "items_note"},
    {"index renamed", "DROP INDEX items_dear; CREATE INDEX dear ON items (price) WHERE price > 100",
     TEARS_DRIFT_NAME, INDEX, "items", "items_dear"},
    {"trigger missing", "DROP TRIGGER items_named", TEARS_DRIFT_MISSING, TRIGGER, "items",
     "items_named"},
    {"trigger extra", "CREATE TRIGGER spare AFTER DELETE ON items BEGIN SELECT 1; END",
     TEARS_DRIFT_EXTRA, TRIGGER, "items", "spare"},
    {"trigger changed",
     "DROP TRIGGER items_named; CREATE TRIGGER items_named AFTER UPDATE ON items BEGIN SELECT 1; "
     "END",
     TEARS_DRIFT_DEFINITION, TRIGGER, "items", "items_named"},
};

/* ---- fixture ---------------------------------------------------------------------------------- */

struct file {
    struct temp_folder folder;
    struct drift_place place;
};

static void begin(struct file *file, const char *sql)
{
    char url[256];

    temp_folder_make(&file->folder);
    (void)snprintf(url, sizeof url, "sqlite:%s", temp_folder_path(&file->folder, "live.db"));
    drift_place_open(&file->place, url, "");
    drift_place_run(&file->place, sql);
}

static void end(struct file *file)
{
    drift_place_close(&file->place);
    temp_folder_remove(&file->folder);
}

static void expect_equal(const struct file *file, const char *what)
{
    tears_drift *drift = drift_place_compare(&file->place, declared, true);
    drift_expect_none(drift, what);
    assert_int_equal(tears_drift_step_count(drift), 0);
    tears_drift_free(drift);
}

static void repair(const struct file *file, const char *what)
{
    tears_drift *drift = drift_place_compare(&file->place, what, true);
    drift_repair(drift);
    tears_drift_free(drift);
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void equal_schemas_do_not_differ(void **state)
{
    struct file file;
    (void)state;

    begin(&file, declared);
    drift_place_run(&file.place, rows);
    expect_equal(&file, "the same statements");
    end(&file);
    begin(&file, same_again);
    drift_place_run(&file.place, "CREATE TABLE _schema_migrations (version);"
                                 "CREATE TABLE _tears_migrations (version)");
    expect_equal(&file, "the same tables by other statements, and the ledgers");
    end(&file);
}

static void every_difference_is_found_and_repaired(void **state)
{
    (void)state;
    for (size_t i = 0; i < T3_COUNT(seeds); i++) {
        struct file file;
        begin(&file, declared);
        drift_place_run(&file.place, rows);
        drift_place_run(&file.place, seeds[i].sql);
        tears_drift *drift = drift_place_compare(&file.place, declared, true);
        drift_expect(drift, &seeds[i]);
        drift_repair(drift);
        tears_drift_free(drift);
        expect_equal(&file, seeds[i].name);
        end(&file);
    }
}

/* The table that is made anew is the parent of others whose rows would go with its own. */
static void rows_outlive_a_table_that_is_made_anew(void **state)
{
    struct file file;
    (void)state;

    begin(&file, declared);
    drift_place_run(&file.place, rows);
    drift_place_run(&file.place, "ALTER TABLE owners ADD spare TEXT");
    repair(&file, declared);
    assert_int_equal(drift_place_number(&file.place, "SELECT count(*) FROM owners"), 1);
    assert_int_equal(drift_place_number(&file.place, "SELECT count(*) FROM items"), 1);
    assert_int_equal(drift_place_number(&file.place, "SELECT count(*) FROM notes"), 1);
    expect_equal(&file, "after the table was made anew");
    end(&file);
}

/* Bo had number 9 and is gone: the next owner must not be taken for him. */
static void numbers_are_not_given_twice(void **state)
{
    struct file file;
    (void)state;

    begin(&file, declared);
    drift_place_run(&file.place, rows);
    drift_place_run(&file.place, "ALTER TABLE owners ADD spare TEXT");
    repair(&file, declared);
    drift_place_run(&file.place, "INSERT INTO owners (name) VALUES ('Cy')");
    assert_int_equal(drift_place_number(&file.place, "SELECT max(id) FROM owners"), 10);
    end(&file);
}

/* With foreign keys off nothing else would notice. */
static void rows_that_would_refer_to_nothing_stop_the_repair(void **state)
{
    static const char strict[] = "CREATE TABLE owners (id INTEGER PRIMARY KEY);"
                                 "CREATE TABLE items (owner_id INTEGER REFERENCES owners (id), n);";
    struct tears_error error = {0};
    struct file file;
    (void)state;

    begin(&file, "CREATE TABLE owners (id INTEGER PRIMARY KEY);"
                 "CREATE TABLE items (owner_id INTEGER, n); INSERT INTO items VALUES (5, 1)");
    tears_drift *drift = drift_place_compare(&file.place, strict, true);
    assert_int_equal(tears_drift_repair(drift, NULL, &error), TEARS_INVALID);
    assert_non_null(strstr(error.message, "foreign_key_check"));
    tears_drift_free(drift);
    assert_int_equal(drift_place_number(&file.place, "SELECT owner_id FROM items"), 5);
    end(&file);
}

/* What only this file has stays with a table that is made anew for another reason. */
static void own_indexes_stay_unless_they_may_go(void **state)
{
    struct file file;
    (void)state;

    begin(&file, "CREATE TABLE a (id INTEGER PRIMARY KEY, n INTEGER); CREATE INDEX own ON a (n)");
    tears_drift *drift = drift_place_compare(
        &file.place, "CREATE TABLE a (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)", false);
    drift_repair(drift);
    tears_drift_free(drift);
    assert_int_equal(
        drift_place_number(&file.place, "SELECT count(*) FROM sqlite_schema WHERE name = 'own'"),
        1);
    assert_int_equal(
        drift_place_number(&file.place,
                           "SELECT \"notnull\" FROM pragma_table_info('a') WHERE name = 'n'"),
        1);
    end(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_schemas_do_not_differ),
        cmocka_unit_test(every_difference_is_found_and_repaired),
        cmocka_unit_test(rows_outlive_a_table_that_is_made_anew),
        cmocka_unit_test(numbers_are_not_given_twice),
        cmocka_unit_test(rows_that_would_refer_to_nothing_stop_the_repair),
        cmocka_unit_test(own_indexes_stay_unless_they_may_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
