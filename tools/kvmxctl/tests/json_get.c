// SPDX-License-Identifier: GPL-2.0
/*
 * json-get PATH: what is at a JSON pointer (RFC 6901, "/vms/0/pid") in the text on standard input.
 * "PATH#" gives the length of the array there. Fails if the text is not exactly one JSON value,
 * or nothing is there.
 */
#include <json-c/json.h>
#include <json-c/json_pointer.h>
#include <stdio.h>
#include <string.h>

#define MAX_TEXT	(4 << 20)

static char text[MAX_TEXT];

int main(int argc, char **argv)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *doc, *value;
	size_t len, path_len;
	int length = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: json-get POINTER\n");
		return 2;
	}
	len = fread(text, 1, MAX_TEXT - 1, stdin);
	/* With the terminating NUL: a number at the end is complete only then. */
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	doc = json_tokener_parse_ex(tokener, text, len + 1);
	if (json_tokener_get_error(tokener) != json_tokener_success) {
		fprintf(stderr, "json-get: no JSON: %s\n",
			json_tokener_error_desc(json_tokener_get_error(tokener)));
		return 1;
	}
	path_len = strlen(argv[1]);
	if (path_len && argv[1][path_len - 1] == '#') {
		argv[1][path_len - 1] = '\0';
		length = 1;
	}
	if (json_pointer_get(doc, argv[1], &value)) {
		fprintf(stderr, "json-get: nothing at '%s'\n", argv[1]);
		return 1;
	}
	if (length)
		printf("%zu\n", json_object_array_length(value));
	else
		printf("%s\n", value ? json_object_get_string(value) : "null");
	return 0;
}
