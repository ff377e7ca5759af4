# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Sourced by what asks a server of LAVA.
#
#   me           set before: the name of who sources this, for messages
#   LAVA_SERVER, LAVA_TOKEN   in the environment: its URL, and a token of a user of it
#   tmp          a folder, which goes away at the end
#   api PATH [OPTION...]   what it has there, by its REST API v0.2; options are curl's.  What
#                it refuses goes to standard error, and so does that it does not answer

# shellcheck disable=SC2154 # set by who sources this
die() { echo "$me: $*" >&2; exit 1; }

command -v curl >/dev/null || die "no curl (Debian package: curl)"
command -v jq >/dev/null || die "no jq (Debian package: jq)"
[ -n "${LAVA_SERVER-}" ] || die "LAVA_SERVER= is to be the URL of a server of LAVA"
[ -n "${LAVA_TOKEN-}" ] || die "LAVA_TOKEN is to be in the environment: in LAVA's web pages, under API, Tokens"
tmp=$(mktemp -d) || exit
trap 'rm -rf "$tmp"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
# Not an argument, which all users see
(umask 077 && echo "header = \"Authorization: Token $LAVA_TOKEN\"" >"$tmp/curl")

api()
{
	path=$1
	shift
	code=$(curl -sS -m 300 -K "$tmp/curl" -o "$tmp/answer" -w '%{http_code}' "$@" "${LAVA_SERVER%/}/api/v0.2/$path" 2>"$tmp/error") || {
		echo "$me: $LAVA_SERVER does not answer: $(sed 's/^curl: ([0-9]*) //' "$tmp/error")" >&2
		return 1
	}
	case $code in
	2*) cat "$tmp/answer" ;;
	401 | 403)
		echo "$me: $LAVA_SERVER does not take LAVA_TOKEN: $(jq -r '.detail? // .' "$tmp/answer" 2>/dev/null)" >&2
		return 1
		;;
	*)
		echo "$me: $LAVA_SERVER says $code to $path: $(jq -r '.message? // .detail? // .' "$tmp/answer" 2>/dev/null || head -c 200 "$tmp/answer")" >&2
		return 1
		;;
	esac
}

# name_of FILE: of a job, by which a server has it
name_of() { sed -n 's/^job_name: //p' "$1"; }

# newest NAME: what the report needs of the job of that name that was submitted last, or null
newest()
{
	answer=$(api jobs/ -G --data-urlencode "description=$1" -d ordering=-id -d limit=1) || return
	printf '%s\n' "$answer" | jq '.results[0] | if . then {id, description, actual_device, state, health, start_time, end_time} else null end'
}
