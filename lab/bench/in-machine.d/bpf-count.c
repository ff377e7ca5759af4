// SPDX-License-Identifier: GPL-2.0-only
/*
 * Run a command of the shell while a BPF program counts VM-Exits, and then print how many
 * it has seen, as "counted" and the number with a tab between.
 *
 * usage: bpf-count OBJECT PROGRAM COMMAND
 *   PROGRAM   bpf, bpf-raw or bpf-btf
 */
#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *name;
	const char *function;
} names[] = {
	{ "bpf", "count_exit" },
	{ "bpf-raw", "count_raw" },
	{ "bpf-btf", "count_btf" },
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static unsigned long long sum(struct bpf_map *map)
{
	int cpu, nr_cpus = libbpf_num_possible_cpus();
	unsigned long long counts[nr_cpus], n = 0;
	unsigned int key;

	for (key = 0; key < bpf_map__max_entries(map); key++) {
		if (bpf_map__lookup_elem(map, &key, sizeof(key), counts, sizeof(counts), 0))
			die("bpf_map__lookup_elem");
		for (cpu = 0; cpu < nr_cpus; cpu++)
			n += counts[cpu];
	}
	return n;
}

int main(int argc, char *argv[])
{
	struct bpf_program *program, *count = NULL;
	struct bpf_object *object;
	struct bpf_link *link;
	bool chosen;
	size_t i;

	object = bpf_object__open_file(argv[1], NULL);
	if (!object)
		die(argv[1]);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		program = bpf_object__find_program_by_name(object, names[i].function);
		chosen = !strcmp(names[i].name, argv[2]);
		bpf_program__set_autoload(program, chosen);
		if (chosen)
			count = program;
	}
	if (!count || bpf_object__load(object))
		die(argv[2]);
	link = bpf_program__attach(count);
	if (!link)
		die("bpf_program__attach");

	if (system(argv[3])) {
		fprintf(stderr, "bpf-count: %s failed\n", argv[3]);
		return 1;
	}

	printf("counted\t%llu\n", sum(bpf_object__next_map(object, NULL)));
	bpf_link__destroy(link);
	bpf_object__close(object);
	return 0;
}
