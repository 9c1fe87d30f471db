// SPDX-License-Identifier: GPL-2.0
/*
 * KSM's knobs: the only file that reads or writes them.
 *
 * KSM exports no functions for them, but their sysfs attributes can be found without a mount, and
 * each knows the functions that show and store it.
 */
#include <linux/kernfs.h>
#include <linux/kobject.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "ksm.h"

#define NR_OURS (KVMX_KNOB_RUN + 1)

/* The knobs that kvmx writes come first, in the order in which they are put back. */
static const char * const names[KVMX_KNOB_NR] = {
	[KVMX_KNOB_PAGES] = "pages_to_scan",
	[KVMX_KNOB_SLEEP] = "sleep_millisecs",
	[KVMX_KNOB_SMART] = "smart_scan",
	[KVMX_KNOB_ADVISOR] = "advisor_mode",
	[KVMX_KNOB_RUN] = "run",
	[KVMX_KNOB_FULL_SCANS] = "full_scans",
	[KVMX_KNOB_SCANNED] = "pages_scanned",
	[KVMX_KNOB_SHARING] = "pages_sharing",
	[KVMX_KNOB_MAX_SHARING] = "max_page_sharing",
	[KVMX_KNOB_ZERO_PAGES] = "use_zero_pages",
	[KVMX_KNOB_ZERO_SHARING] = "ksm_zero_pages",
};

static struct {
	struct mutex lock;	/* protects all below */
	struct kobject *kobj;
	struct attribute *attr[KVMX_KNOB_NR];
	char *page;
	u32 state;		/* KVMX_KSM_KNOBS_* */
	u64 saved[NR_OURS];
	u64 wrote[NR_OURS];
	u32 foreign;
	struct task_struct *ksmd;
} knobs = {
	.lock = __MUTEX_INITIALIZER(knobs.lock),
};

/* The advisor's mode is words, the one in force in brackets; as a number, 0 is "none". */
static int show(u32 knob, u64 *value)
{
	const struct sysfs_ops *ops = knobs.kobj->ktype->sysfs_ops;
	ssize_t len;

	lockdep_assert_held(&knobs.lock);
	if (!knobs.attr[knob])
		return -ENOENT;
	len = ops->show(knobs.kobj, knobs.attr[knob], knobs.page);
	if (len < 0)
		return len;
	knobs.page[min_t(size_t, len, PAGE_SIZE - 1)] = '\0';
	if (knob == KVMX_KNOB_ADVISOR) {
		*value = !strstr(knobs.page, "[none]");
		return 0;
	}
	return kstrtou64(strim(knobs.page), 10, value);
}

static int store(u32 knob, u64 value)
{
	const struct sysfs_ops *ops = knobs.kobj->ktype->sysfs_ops;
	ssize_t ret;
	int len;

	lockdep_assert_held(&knobs.lock);
	if (!knobs.attr[knob])
		return -ENOENT;
	if (knob == KVMX_KNOB_ADVISOR)
		len = sysfs_emit(knobs.page, "%s\n", value ? "scan-time" : "none");
	else
		len = sysfs_emit(knobs.page, "%llu\n", value);
	ret = ops->store(knobs.kobj, knobs.attr[knob], knobs.page, len);
	return ret < 0 ? ret : 0;
}

/* Whether a knob still has the value that kvmx gave it. */
static bool intact(u32 knob)
{
	u64 value;

	if (!knobs.attr[knob])
		return true;
	return !show(knob, &value) && value == knobs.wrote[knob];
}

/* What somebody else has written stays. */
static void put_back(void)
{
	u32 i;

	for (i = 0; i < NR_OURS; i++) {
		/* While the advisor was on, it has set this one itself, and does so again. */
		if (i == KVMX_KNOB_PAGES && knobs.saved[KVMX_KNOB_ADVISOR])
			continue;
		if (knobs.attr[i] && intact(i))
			store(i, knobs.saved[i]);
	}
}

static bool check(void)
{
	u32 i;

	lockdep_assert_held(&knobs.lock);
	if (knobs.state != KVMX_KSM_KNOBS_OWNED)
		return false;
	for (i = 0; i < NR_OURS && intact(i); i++)
		;
	if (i == NR_OURS)
		return true;
	knobs.foreign = i;
	knobs.state = KVMX_KSM_KNOBS_LOST;
	put_back();
	return false;
}

/* Writes a knob unless somebody else has since it was written last. */
static int set(u32 knob, u64 value)
{
	int err;

	if (!knobs.attr[knob] || knobs.wrote[knob] == value)
		return 0;
	err = store(knob, value);
	if (!err)
		knobs.wrote[knob] = value;
	return err;
}

static struct task_struct *find_ksmd(void)
{
	struct task_struct *p, *found = NULL;

	rcu_read_lock();
	for_each_process(p) {
		if (p->flags & PF_KTHREAD && !strcmp(p->comm, "ksmd")) {
			found = p;
			get_task_struct(p);
			break;
		}
	}
	rcu_read_unlock();
	return found;
}

static struct kernfs_node *find_dir(void)
{
	struct kernfs_node *mm, *ksm;

	mm = kernfs_find_and_get(kernel_kobj->sd, "mm");
	if (!mm)
		return NULL;
	ksm = kernfs_find_and_get(mm, "ksm");
	kernfs_put(mm);
	return ksm;
}

/**
 * kvmx_knobs_init() - find the knobs
 *
 * Return: 0, also if this kernel has no KSM: see kvmx_knobs_present(); -ENOMEM.
 */
int kvmx_knobs_init(void)
{
	struct kernfs_node *dir, *kn;
	u32 i;

	dir = find_dir();
	if (!dir)
		return 0;
	knobs.page = (char *)__get_free_page(GFP_KERNEL);
	if (!knobs.page) {
		kernfs_put(dir);
		return -ENOMEM;
	}
	for (i = 0; i < KVMX_KNOB_NR; i++) {
		kn = kernfs_find_and_get(dir, names[i]);
		if (!kn)
			continue;
		knobs.attr[i] = kn->priv;
		kernfs_put(kn);
	}
	knobs.kobj = dir->priv;
	knobs.ksmd = find_ksmd();
	kernfs_put(dir);
	return 0;
}

/**
 * kvmx_knobs_exit() - put them back and forget them
 */
void kvmx_knobs_exit(void)
{
	kvmx_knobs_give();
	if (knobs.ksmd)
		put_task_struct(knobs.ksmd);
	free_page((unsigned long)knobs.page);
}

/**
 * kvmx_knobs_present() - whether this kernel has a KSM that can be driven
 *
 * Return: whether it has.
 */
bool kvmx_knobs_present(void)
{
	return knobs.kobj && knobs.ksmd && knobs.attr[KVMX_KNOB_RUN] &&
	       knobs.attr[KVMX_KNOB_PAGES] && knobs.attr[KVMX_KNOB_SLEEP] &&
	       knobs.attr[KVMX_KNOB_FULL_SCANS];
}

/**
 * kvmx_knobs_take() - save the knobs and stop ksmd
 *
 * Context: may sleep for as long as ksmd's batch takes.
 * Return: 0, or -errno and all is as it was.
 */
int kvmx_knobs_take(void)
{
	u32 i;
	int err = 0;

	mutex_lock(&knobs.lock);
	if (knobs.state == KVMX_KSM_KNOBS_OWNED)
		goto unlock;
	for (i = 0; i < NR_OURS; i++) {
		if (!knobs.attr[i])
			continue;
		err = show(i, &knobs.saved[i]);
		if (err)
			goto unlock;
		knobs.wrote[i] = knobs.saved[i];
	}
	/* The advisor first: it would change the others. */
	err = set(KVMX_KNOB_ADVISOR, 0);
	if (!err && knobs.attr[KVMX_KNOB_ADVISOR])
		err = show(KVMX_KNOB_PAGES, &knobs.wrote[KVMX_KNOB_PAGES]);
	if (!err)
		err = set(KVMX_KNOB_RUN, 0);
	if (err)
		put_back();
	else
		knobs.state = KVMX_KSM_KNOBS_OWNED;
	/* Order 2 was to unmerge all and to stop, which was done. It is not for kvmx to give it. */
	if (!err && knobs.saved[KVMX_KNOB_RUN] == 2)
		knobs.saved[KVMX_KNOB_RUN] = 0;
unlock:
	mutex_unlock(&knobs.lock);
	return err;
}

/**
 * kvmx_knobs_give() - put the knobs back
 */
void kvmx_knobs_give(void)
{
	mutex_lock(&knobs.lock);
	if (check())
		put_back();
	knobs.state = KVMX_KSM_KNOBS_FREE;
	mutex_unlock(&knobs.lock);
}

/**
 * kvmx_knobs_state() - whose they are
 * @name: out, unless NULL: the knob that somebody else has written to, or empty
 *
 * Return: KVMX_KSM_KNOBS_*.
 */
u32 kvmx_knobs_state(char name[KVMX_KSM_KNOB_LEN])
{
	u32 state;

	mutex_lock(&knobs.lock);
	state = knobs.state;
	if (name)
		strscpy_pad(name, state == KVMX_KSM_KNOBS_LOST ? names[knobs.foreign] : "",
			    KVMX_KSM_KNOB_LEN);
	mutex_unlock(&knobs.lock);
	return state;
}

/**
 * kvmx_knobs_check() - find out whether somebody else has written to a knob
 *
 * If so, those that nobody else has written to are put back, and kvmx lets go.
 *
 * Return: whether they are kvmx's.
 */
bool kvmx_knobs_check(void)
{
	bool ours;

	mutex_lock(&knobs.lock);
	ours = check();
	mutex_unlock(&knobs.lock);
	return ours;
}

/**
 * kvmx_knobs_drive() - have ksmd run
 * @pages: pages per batch
 * @sleep_ms: time between batches
 *
 * Return: 0; -EPERM if the knobs are not kvmx's; another -errno of KSM.
 */
int kvmx_knobs_drive(u32 pages, u32 sleep_ms)
{
	int err = -EPERM;

	mutex_lock(&knobs.lock);
	if (!check())
		goto unlock;
	err = set(KVMX_KNOB_SMART, 0);
	if (!err)
		err = set(KVMX_KNOB_PAGES, pages);
	if (!err)
		err = set(KVMX_KNOB_SLEEP, sleep_ms);
	if (!err)
		err = set(KVMX_KNOB_RUN, 1);
unlock:
	mutex_unlock(&knobs.lock);
	return err;
}

/**
 * kvmx_knobs_rest() - have ksmd stop, and put the other knobs back
 *
 * Context: may sleep for as long as ksmd's batch takes; after it ksmd does not run, unless
 * somebody else wants it to.
 */
void kvmx_knobs_rest(void)
{
	mutex_lock(&knobs.lock);
	if (check()) {
		set(KVMX_KNOB_RUN, 0);
		set(KVMX_KNOB_SLEEP, knobs.saved[KVMX_KNOB_SLEEP]);
		if (!knobs.saved[KVMX_KNOB_ADVISOR])
			set(KVMX_KNOB_PAGES, knobs.saved[KVMX_KNOB_PAGES]);
		set(KVMX_KNOB_SMART, knobs.saved[KVMX_KNOB_SMART]);
	}
	mutex_unlock(&knobs.lock);
}

/**
 * kvmx_knobs_read() - read a knob
 * @knob: KVMX_KNOB_*
 * @missing: the value if this kernel does not have it
 *
 * Return: its value.
 */
u64 kvmx_knobs_read(u32 knob, u64 missing)
{
	u64 value;

	mutex_lock(&knobs.lock);
	if (!knobs.kobj || show(knob, &value))
		value = missing;
	mutex_unlock(&knobs.lock);
	return value;
}

/**
 * kvmx_knobs_has() - whether this kernel has a knob
 * @knob: KVMX_KNOB_*
 *
 * Return: whether it has.
 */
bool kvmx_knobs_has(u32 knob)
{
	return knobs.attr[knob];
}

/**
 * kvmx_knobs_ksmd_ns() - CPU time of ksmd since it was started
 *
 * Return: the time.
 */
u64 kvmx_knobs_ksmd_ns(void)
{
	return knobs.ksmd ? READ_ONCE(knobs.ksmd->se.sum_exec_runtime) : 0;
}
