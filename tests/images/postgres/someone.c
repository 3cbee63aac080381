/* initdb wants a name for the user it runs as, even where it is told another for the database. A container can run as
   any number, without an entry in /etc/passwd: preloaded into initdb, this names it. */
#include <pwd.h>
#include <stddef.h>
#include <unistd.h>

static struct passwd someone = {
    .pw_name = "postgres",
    .pw_passwd = "x",
    .pw_gecos = "",
    .pw_dir = "/var/lib/postgresql",
    .pw_shell = "/bin/sh",
};

struct passwd *getpwuid(uid_t uid) {
    if (uid != geteuid())
        return NULL;
    someone.pw_uid = uid;
    someone.pw_gid = getegid();
    return &someone;
}
