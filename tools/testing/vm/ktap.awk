# SPDX-License-Identifier: GPL-2.0
#
# Counts test results in a log of KTAP programs, each between the lines
# "# begin NAME" and "# end NAME STATUS". Prints "passed failed skipped", then
# one line for each failure. A program that dies, promises another number of
# results than it gives, or gives none, is a failure of its own.

function fail(what)
{
	failed++
	failures[failed] = name ": " what
}

function end_program(status)
{
	if (status == "")
		fail("did not end")
	else if (status >= 128)
		fail("killed by signal " status - 128 (status == 137 ? " (time limit?)" : ""))
	else if (plan == "")
		fail("printed no plan (exit status " status ")")
	else if (plan != results)
		fail("gave " results " results of " plan)
	else if (status != 0 && status != SKIPPED && !bad)
		fail("exit status " status " without a failed test")
	name = ""
}

BEGIN {
	SKIPPED = 4
	passed = failed = skipped = 0
	name = ""
}

{ sub(/\r$/, "") }

/^# begin / {
	if (name != "")
		end_program("")
	name = $3
	plan = ""
	results = bad = 0
	programs++
	next
}

name == "" { next }

/^# end / && $3 == name {
	end_program($4)
	next
}

/^1\.\.[0-9]+/ && plan == "" {
	plan = substr($1, 4) + 0
	# "1..0 # SKIP why": all of it was skipped.
	if (plan == 0 && /# SKIP/)
		skipped++
	else if (plan == 0)
		fail("promised no test at all")
}

/^ok / {
	results++
	if (/# SKIP/)
		skipped++
	else
		passed++
}

/^not ok / {
	results++
	bad++
	fail($0)
}

END {
	if (name != "")
		end_program("")
	if (!programs) {
		name = "log"
		fail("no test program ran")
	}
	print passed, failed, skipped
	for (i = 1; i <= failed; i++)
		print failures[i]
}
