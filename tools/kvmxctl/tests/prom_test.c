// SPDX-License-Identifier: GPL-2.0
#include <kselftest_harness.h>

#include "prom.h"

static char *printed(const char *json)
{
	struct json_object *doc = json_tokener_parse(json);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	prom_print(doc, out);
	fclose(out);
	json_object_put(doc);
	return text;
}

/* Lines that are no comments must have been announced by a TYPE of that name, once. */
static bool well_formed(const char *text)
{
	char seen[64][64], name[64];
	size_t nr = 0, len, i;
	const char *line;

	for (line = text; *line; line = strchr(line, '\n') + 1) {
		if (!strncmp(line, "# HELP ", 7))
			continue;
		if (!strncmp(line, "# TYPE ", 7)) {
			if (nr == 64 || sscanf(line + 7, "%63s", seen[nr]) != 1)
				return false;
			for (i = 0; i < nr; i++)
				if (!strcmp(seen[i], seen[nr]))
					return false;
			nr++;
			continue;
		}
		len = strcspn(line, "{ ");
		snprintf(name, sizeof(name), "%.*s", (int)len, line);
		/* All of one name stand together. */
		if (!nr || strcmp(seen[nr - 1], name))
			return false;
	}
	return true;
}

#define HOST	"'version':'0.1','kernel':'6.1'"
#define VM1	"{'pid':12,'fd':9,'vmm':'qemu','name':'a\\\"b\\\\c\\n','uuid':null,'harvests':5}"
#define CLOSED	"{'pid':13,'fd':null,'vmm':'qemu','name':null,'error':'x'}"
#define VM2	"{'pid':14,'fd':3,'vmm':'vmm','name':'d','uuid':'u','harvests':6}"

#define SAYS(line)	EXPECT_NE(NULL, strstr(text, "\n" line "\n"))

TEST(host)
{
	char *text = printed("{" HOST ",'vms':[],'hidden_processes':3,'ksm':null}");

	SAYS("kvmx_info{version=\"0.1\",kernel=\"6.1\"} 1");
	SAYS("kvmx_vms 0");
	SAYS("# TYPE kvmx_hidden_processes gauge");
	SAYS("kvmx_hidden_processes 3");
	EXPECT_EQ(NULL, strstr(text, "kvmx_ksm"));
	EXPECT_EQ(NULL, strstr(text, "kvmx_vm_"));
	EXPECT_TRUE(well_formed(text));
	free(text);
}

TEST(ksm)
{
	char *text = printed("{" HOST ",'vms':[],'ksm':{'epochs':7,'ksmd_ns':1500000000}}");

	SAYS("# TYPE kvmx_ksm_epochs_total counter");
	SAYS("kvmx_ksm_epochs_total 7");
	SAYS("kvmx_ksm_ksmd_seconds_total 1.5");
	EXPECT_EQ(NULL, strstr(text, "kvmx_ksm_freed_bytes"));
	EXPECT_TRUE(well_formed(text));
	free(text);
}

TEST(vms)
{
	char *text = printed("{" HOST ",'vms':[" VM1 "," CLOSED "," VM2 "]}");

	SAYS("kvmx_vms 3");
	SAYS("# TYPE kvmx_vm_harvests_total counter");
	/* Escaped as in JSON. */
	EXPECT_NE(NULL, strstr(text, "vmm=\"qemu\",name=\"a\\\"b\\\\c\\n\",uuid=\"\"} 5\n"));
	EXPECT_NE(NULL, strstr(text, "{pid=\"14\",fd=\"3\",vmm=\"vmm\",name=\"d\",uuid=\"u\"} 6"));
	/* Nothing is said of one that could not be opened. */
	EXPECT_EQ(NULL, strstr(text, "pid=\"13\""));
	EXPECT_TRUE(well_formed(text));
	free(text);
}

TEST_HARNESS_MAIN
