#include "proxyd/objects/state_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "proxyd/objects/journal.h"
#include "proxyd/objects/statement.h"
#include "wire/buffer.h"

namespace p11shim {
namespace {

// Longer than workers take whose proxyd was killed.
constexpr std::chrono::seconds kLongestWait{20};
constexpr std::chrono::milliseconds kBetweenLooks{2};

std::uint64_t stored_as(PinOf of) { return of == PinOf::so ? 1 : 0; }

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }
[[noreturn]] void fail_errno(const std::string& what) { fail(what + ": " + std::strerror(errno)); }

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

// Whoever owns a file may change its mode and its content.
void require_owner(const struct stat& status, const std::string& path) {
  if (status.st_uid != 0 && status.st_uid != ::geteuid())
    fail(path + " belongs to uid " + std::to_string(status.st_uid) + "; chown it to proxyd's user");
}

void make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) fail_errno("cannot make the state directory " + path);
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) fail_errno("cannot look at the state directory " + path);
  if (!S_ISDIR(status.st_mode)) fail("the state directory " + path + " is no directory");
  require_owner(status, path);
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    fail("others can write to the state directory " + path + "; chmod 0700 it");
}

// Writes the whole key or nothing: a new file is linked into place when it is complete. Handles that were given out are worth
// nothing without it, so it is on the disk before the first one is.
void make_key(const std::string& directory, const std::string& file) {
  HandleKey key;
  if (::getrandom(key.data(), key.size(), 0) != static_cast<ssize_t>(key.size())) fail_errno("cannot get random bytes");
  const std::string fresh = file + ".new";
  ::unlink(fresh.c_str());
  const Descriptor out(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (out.get() < 0 || ::write(out.get(), key.data(), key.size()) != static_cast<ssize_t>(key.size()) ||
      ::fsync(out.get()) != 0)
    fail_errno("cannot write " + fresh);
  wipe(key.data(), key.size());
  if (::link(fresh.c_str(), file.c_str()) != 0 && errno != EEXIST) fail_errno("cannot make " + file);
  ::unlink(fresh.c_str());
  const Descriptor folder(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || ::fsync(folder.get()) != 0) fail_errno("cannot write " + directory);
}

HandleKey read_key(const std::string& directory) {
  const std::string file = directory + "/handle_key";
  if (::access(file.c_str(), F_OK) != 0) make_key(directory, file);
  const Descriptor in(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (in.get() < 0) fail_errno("cannot open " + file);
  struct stat status {};
  if (::fstat(in.get(), &status) != 0) fail_errno("cannot look at " + file);
  require_owner(status, file);
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) fail("others can read " + file + "; chmod 0600 it");
  HandleKey key;
  if (status.st_size != static_cast<off_t>(key.size()) ||
      ::read(in.get(), key.data(), key.size()) != static_cast<ssize_t>(key.size()))
    fail(file + " must hold exactly 32 bytes; restore it from a backup or from another proxyd of the fleet");
  return key;
}

}  // namespace

StateDirectory::StateDirectory(const std::string& path, Complain complain) : complain_(std::move(complain)) {
  make_directory(path);
  try {
    take_lock(path);
    handle_key_ = read_key(path);
    open_database(path + "/objects.db");
    journal_ = std::make_unique<Journal>(path + "/journal.db");
  } catch (...) {
    release();
    throw;
  }
}

StateDirectory::~StateDirectory() { release(); }

void StateDirectory::release() {
  wipe(handle_key_.data(), handle_key_.size());
  sqlite3_close(database_);
  if (lock_ >= 0) ::close(lock_);
}

void StateDirectory::take_lock(const std::string& path) {
  lock_ = ::open((path + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock_ < 0) fail_errno("cannot open " + path + "/lock");
  const auto until = std::chrono::steady_clock::now() + kLongestWait;
  while (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) fail_errno("cannot lock " + path + "/lock");
    if (std::chrono::steady_clock::now() > until)
      fail("the state directory " + path + " is used by another proxyd, or by workers that one has left behind");
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

void StateDirectory::open_database(const std::string& file) {
  const mode_t before = ::umask(0077);
  const int result = sqlite3_open_v2(file.c_str(), &database_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  ::umask(before);
  if (result != SQLITE_OK) fail("cannot open " + file + ": " + sqlite3_errmsg(database_));
  sqlite3_busy_timeout(database_, 2000);
  execute("PRAGMA journal_mode=WAL");
  execute("PRAGMA synchronous=FULL");
  execute(
      "CREATE TABLE IF NOT EXISTS alias (identity BLOB NOT NULL, features BLOB NOT NULL, handle INTEGER NOT NULL, "
      "PRIMARY KEY (identity, features)) WITHOUT ROWID");
  open_refused();
  execute("CREATE TABLE IF NOT EXISTS nonce_maker (key BLOB PRIMARY KEY, member TEXT NOT NULL) WITHOUT ROWID");
  execute(
      "CREATE TABLE IF NOT EXISTS wish (pool TEXT NOT NULL, member TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT "
      "NULL, since INTEGER NOT NULL, weight INTEGER NOT NULL, configured_weight INTEGER NOT NULL, "
      "PRIMARY KEY (pool, member)) WITHOUT ROWID");
  execute(
      "CREATE TABLE IF NOT EXISTS face (pool TEXT NOT NULL, member TEXT NOT NULL, label TEXT NOT NULL, serial TEXT NOT "
      "NULL, manufacturer TEXT NOT NULL, model TEXT NOT NULL, slot_description TEXT NOT NULL, slot_manufacturer TEXT "
      "NOT "
      "NULL, PRIMARY KEY (pool, member)) WITHOUT ROWID");
  execute(
      "CREATE TABLE IF NOT EXISTS mechanisms (pool TEXT NOT NULL, member TEXT NOT NULL, list BLOB NOT NULL, PRIMARY "
      "KEY "
      "(pool, member)) WITHOUT ROWID");
}

// Rows from before it was known who refused them have no member: they are forgotten one by one.
void StateDirectory::open_refused() {
  execute(
      "CREATE TABLE IF NOT EXISTS refused (hash BLOB PRIMARY KEY, member TEXT NOT NULL DEFAULT '', so INTEGER NOT NULL "
      "DEFAULT 0) WITHOUT ROWID");
  if (Statement(database_, "SELECT 1 FROM pragma_table_info('refused') WHERE name = 'member'").step()) return;
  execute("ALTER TABLE refused ADD COLUMN member TEXT NOT NULL DEFAULT ''");
  execute("ALTER TABLE refused ADD COLUMN so INTEGER NOT NULL DEFAULT 0");
}

void StateDirectory::execute(const char* sql) { execute_sql(database_, sql); }

void StateDirectory::remember(const Alias& alias) {
  try {
    execute("BEGIN IMMEDIATE");
    remove(alias.handle);
    insert(alias);
    execute("COMMIT");
  } catch (const std::runtime_error& error) {
    sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
    complain_(error.what());
  }
}

template <class Change>
void StateDirectory::write(Change change) {
  try {
    change();
  } catch (const std::runtime_error& error) {
    complain_(error.what());
  }
}

void StateDirectory::forget(std::uint64_t handle) {
  write([&] { remove(handle); });
}

void StateDirectory::insert(const Alias& alias) {
  Statement insert(database_, "INSERT OR REPLACE INTO alias (identity, features, handle) VALUES (?1, ?2, ?3)");
  insert.bind(1, alias.identity);
  insert.bind(2, alias.features);
  insert.bind(3, alias.handle);
  insert.step();
}

void StateDirectory::remove(std::uint64_t handle) {
  Statement remove(database_, "DELETE FROM alias WHERE handle = ?1");
  remove.bind(1, handle);
  remove.step();
}

bool StateDirectory::is_refused(const Identity& hash) {
  Statement select(database_, "SELECT 1 FROM refused WHERE hash = ?1");
  select.bind(1, hash);
  return select.step();
}

bool StateDirectory::has_refused(const std::string& member, PinOf of) {
  Statement select(database_, "SELECT 1 FROM refused WHERE member = ?1 AND so = ?2");
  select.bind(1, member);
  select.bind(2, stored_as(of));
  return select.step();
}

void StateDirectory::remember_refused(const Identity& hash, const std::string& member, PinOf of) {
  write([&] {
    Statement insert(database_, "INSERT OR REPLACE INTO refused (hash, member, so) VALUES (?1, ?2, ?3)");
    insert.bind(1, hash);
    insert.bind(2, member);
    insert.bind(3, stored_as(of));
    insert.step();
  });
}

void StateDirectory::forget_refused(const Identity& hash) {
  write([&] {
    Statement change(database_, "DELETE FROM refused WHERE hash = ?1");
    change.bind(1, hash);
    change.step();
  });
}

void StateDirectory::forget_refused(const std::string& member, PinOf of) {
  write([&] {
    Statement change(database_, "DELETE FROM refused WHERE member = ?1 AND so = ?2");
    change.bind(1, member);
    change.bind(2, stored_as(of));
    change.step();
  });
}

void StateDirectory::remember_nonce_maker(const Identity& key, const std::string& member) {
  write([&] {
    Statement insert(database_, "INSERT OR REPLACE INTO nonce_maker (key, member) VALUES (?1, ?2)");
    insert.bind(1, key);
    insert.bind(2, member);
    insert.step();
  });
}

void StateDirectory::for_each_nonce_maker(
    const std::function<void(const Identity& key, const std::string& member)>& visit) {
  Statement select(database_, "SELECT key, member FROM nonce_maker");
  Identity key{};
  while (select.step())
    if (select.column(0, key)) visit(key, select.text(1));
}

void StateDirectory::remember(const MemberWish& wish) {
  write([&] {
    Statement insert(database_,
                     "INSERT OR REPLACE INTO wish (pool, member, state, reason, since, weight, configured_weight) "
                     "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    insert.bind(1, wish.pool);
    insert.bind(2, wish.member);
    insert.bind(3, wish.state);
    insert.bind(4, wish.reason);
    insert.bind(5, wish.since);
    insert.bind(6, std::uint64_t{wish.weight});
    insert.bind(7, std::uint64_t{wish.configured_weight});
    insert.step();
  });
}

void StateDirectory::for_each(const std::function<void(const MemberWish&)>& visit) {
  Statement select(database_, "SELECT pool, member, state, reason, since, weight, configured_weight FROM wish");
  while (select.step())
    visit({select.text(0), select.text(1), select.text(2), select.text(3), select.number(4),
           static_cast<std::uint32_t>(select.number(5)), static_cast<std::uint32_t>(select.number(6))});
}

void StateDirectory::remember(const Face& face) {
  write([&] {
    Statement insert(database_,
                     "INSERT OR REPLACE INTO face (pool, member, label, serial, manufacturer, model, slot_description, "
                     "slot_manufacturer) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
    int column = 0;
    for (const std::string* text : {&face.pool, &face.member, &face.label, &face.serial, &face.manufacturer,
                                    &face.model, &face.slot_description, &face.slot_manufacturer})
      insert.bind(++column, *text);
    insert.step();
  });
}

void StateDirectory::remember_mechanisms(const std::string& pool, const std::string& member,
                                         std::span<const std::uint8_t> mechanisms) {
  write([&] {
    Statement insert(database_, "INSERT OR REPLACE INTO mechanisms (pool, member, list) VALUES (?1, ?2, ?3)");
    insert.bind(1, pool);
    insert.bind(2, member);
    insert.bind(3, mechanisms);
    insert.step();
  });
}

std::optional<StateDirectory::Face> StateDirectory::face(const std::string& pool, const std::string& member) {
  Statement select(
      database_,
      "SELECT label, serial, manufacturer, model, slot_description, slot_manufacturer FROM face WHERE pool "
      "= ?1 AND member = ?2");
  select.bind(1, pool);
  select.bind(2, member);
  if (!select.step()) return std::nullopt;
  return Face{pool,           member,         select.text(0), select.text(1),
              select.text(2), select.text(3), select.text(4), select.text(5)};
}

std::vector<std::uint8_t> StateDirectory::mechanisms(const std::string& pool, const std::string& member) {
  Statement select(database_, "SELECT list FROM mechanisms WHERE pool = ?1 AND member = ?2");
  select.bind(1, pool);
  select.bind(2, member);
  if (!select.step()) return {};
  const auto stored = select.bytes(0);
  return {stored.begin(), stored.end()};
}

void StateDirectory::for_each(const std::function<void(const Alias&)>& visit) {
  Statement select(database_, "SELECT identity, features, handle FROM alias");
  while (select.step()) {
    Alias alias{};
    alias.handle = select.number(2);
    if (select.column(0, alias.identity) && select.column(1, alias.features)) visit(alias);
  }
}

}  // namespace p11shim
