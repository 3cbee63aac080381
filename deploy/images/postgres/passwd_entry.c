/* initdb fails if its user has no name, even with --username. A container may run as a user id without an entry in
   /etc/passwd. Preloaded into initdb, this library returns an entry for it. */
#include <pwd.h>
#include <stddef.h>
#include <unistd.h>

static struct passwd entry = {
    .pw_name = "postgres",
    .pw_passwd = "x",
    .pw_gecos = "",
    .pw_dir = "/var/lib/postgresql",
    .pw_shell = "/bin/sh",
};

struct passwd *getpwuid(uid_t uid) {
    if (uid != geteuid())
        return NULL;
    entry.pw_uid = uid;
    entry.pw_gid = getegid();
    return &entry;
}
