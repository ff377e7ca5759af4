// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that are replaced only once they are complete.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm_exits.h"

/* Neither a device nor a link, e.g. /dev/stdout, is to be replaced. */
struct output open_output(const char *path)
{
	struct output o = { .file = stdout, .path = path };
	struct stat st;

	if (!strcmp(path, "-"))
		return o;

	if ((lstat(path, &st) || S_ISREG(st.st_mode)) &&
	    asprintf(&o.tmp, "%s.%d", path, getpid()) < 0)
		err(EXIT_FAILURE, "asprintf");

	o.file = o.tmp ? fopen(o.tmp, "wx") : fopen(path, "w");
	if (!o.file)
		err(EXIT_FAILURE, "%s", o.tmp ? o.tmp : path);

	return o;
}

void close_output(struct output *o)
{
	bool ok = !fflush(o->file) && !ferror(o->file) && (!o->tmp || !fsync(fileno(o->file))) &&
		  !fclose(o->file) && (!o->tmp || !rename(o->tmp, o->path));
	int error = errno;

	if (!ok && o->tmp)
		unlink(o->tmp);
	errno = error;
	if (!ok)
		err(EXIT_FAILURE, "%s", o->path);

	free(o->tmp);
}
