# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A private apt for suites this machine does not use. It has its own state, so
# nothing here changes what the machine installs. Sourced by setup.sh.

# The machine's own mirror, whatever it is; only the suite will be another one.
apt_mirror()
{
	# shellcheck disable=SC2016 # $(SITE) is for apt-get to expand
	apt-get indextargets --format '$(SITE)' 'Created-By: Packages' |
		grep -v -e '[-]security/*$' -e 'security\.' | sort | uniq -c | sort -rn |
		awk 'NR == 1 { print $2 }'
}

# apt_open SUITE: later apt_get and apt_cache calls look into that suite alone.
apt_open()
{
	local suite=$1 dir=$BUILD/apt/$1 mirror
	local keys=/usr/share/keyrings/debian-archive-keyring.gpg

	mirror=$(apt_mirror)
	[ -n "$mirror" ] || die "apt knows no Debian mirror: add one to /etc/apt/sources.list"

	mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial"
	echo "deb [signed-by=$keys] $mirror $suite main" > "$dir/sources.list"
	cat > "$dir/apt.conf" <<-EOF
		Dir::State "$dir/state";
		Dir::State::status "/dev/null";
		Dir::Cache "$dir/cache";
		Dir::Etc::SourceList "$dir/sources.list";
		Dir::Etc::SourceParts "/dev/null";
		APT::Architecture "amd64";
		APT::Architectures { "amd64"; };
		APT::Sandbox::User "root";
		Acquire::Retries "5";
		Acquire::Languages "none";
	EOF
	export APT_CONFIG=$dir/apt.conf
	apt_try apt-get -qq update
}

apt_close()
{
	unset APT_CONFIG
}

# Mirrors fail now and then: try three times before giving up.
apt_try()
{
	local i

	for i in 1 2 3; do
		"$@" && return 0
		say "'$*' failed (try $i of 3)"
		sleep $((i * 2))
	done
	return 1
}

# The newest package whose name matches an extended regular expression.
apt_newest()
{
	apt-cache pkgnames linux- | grep -xE "$1" | sort -V | tail -n 1
}

# The packages of the kernel's own source package that PACKAGES need, themselves included.
apt_kernel_closure()
{
	local todo=("$@") seen=' ' p dep
	local parts='image|binary|modules|base|headers|kbuild|compiler-gcc'

	while [ ${#todo[@]} -gt 0 ]; do
		p=${todo[0]}
		todo=("${todo[@]:1}")
		case $seen in *" $p "*) continue ;; esac
		seen+="$p "
		echo "$p"
		while read -r dep; do
			todo+=("$dep")
		done < <(apt-cache show --no-all-versions "$p" |
			sed -nE 's/^(Pre-)?Depends: //p' | tr ',' '\n' |
			sed -E 's/[|(].*//; s/ //g' | grep -E "^linux-($parts)-[0-9]")
	done
}

# apt_unpack DEST PACKAGE...
apt_unpack()
{
	local dest=$1 tmp deb

	shift
	tmp=$BUILD/apt/download
	rm -rf "$tmp"
	mkdir -p "$tmp" "$dest"
	(cd "$tmp" && apt_try apt-get -qq download "$@") || return 1
	for deb in "$tmp"/*.deb; do
		dpkg-deb -x "$deb" "$dest" || return 1
	done
	rm -rf "$tmp"
}
