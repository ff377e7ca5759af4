# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Sourced by what runs a server of LAVA and its workers in lab/fleet/inside, without systemd, on
# loopback.  Everything ends with who sources this.
#
#   logs        set before: a folder for what they say
#   LAVA_SERVER, LAVA_TOKEN   where the server is, and who may submit there

port=8000 events=8001
LAVA_SERVER=http://127.0.0.1:$port
LAVA_TOKEN=$(od -A n -t x1 -N 32 /dev/urandom | tr -d ' \n')
export LAVA_SERVER LAVA_TOKEN
fleet=$PWD/lab/fleet
config=/etc/lava-server/dispatcher-config

# shellcheck disable=SC2154 # set by who sources this
# started NAME COMMAND...: in the background, its process in $logs/NAME.pid
started()
{
	name=$1
	shift
	"$@" >>"$logs/$name.log" 2>&1 </dev/null &
	echo $! >"$logs/$name.pid"
}

# try COMMAND...: until it works, for 2 minutes
try()
{
	tries=0
	until "$@" >/dev/null 2>&1; do
		[ $((tries += 1)) -le 120 ] || { echo "server: $* fails" >&2; return 1; }
		sleep 1
	done
}

manage() { lava-server manage "$@"; }

# The server but for its database
start_server()
{
	started server gunicorn3 lava_server.wsgi -b 127.0.0.1:$port -u lavaserver -g lavaserver \
		--worker-class eventlet --workers 2 --timeout 120
	started scheduler lava-server manage lava-scheduler
	started publisher lava-server manage lava-publisher --host 127.0.0.1 --port $events
	try curl -sf "$LAVA_SERVER/api/v0.2/system/version/"
}

# start_worker NAME: which tells at once that a job has ended, not after up to 20 s
start_worker()
{
	mkdir -p "/etc/lava-server/dispatcher.d/$1"
	cp "$fleet/dispatcher.yaml" "/etc/lava-server/dispatcher.d/$1"
	started "$1" lava-worker --name "$1" --url "$LAVA_SERVER/" --ws-url "http://127.0.0.1:$events/ws/" \
		--worker-dir "/var/lib/lava/dispatcher/$1" --ping-interval 2 --log-file -
}

# add_device DEVICE TYPE WORKER [LINE...]: what it is beside the template of its type
add_device()
{
	device=$1 type=$2 owner=$3
	shift 3
	printf '%s\n' "{% extends '$type.jinja2' %}" "$@" >"$config/devices/$device.jinja2"
	manage devices add --device-type "$type" --worker "$owner" "$device"
}

# add_worker NAME: with an emulated AMD and an emulated Intel, so it runs two jobs at a time
add_worker()
{
	start_worker "$1"
	try lava-server manage workers details "$1" &&
		add_device "qemu-$1" qemu "$1" &&
		add_device "bochs-$1" bochs "$1" "{% set bochs_command = '$fleet/bochs' %}"
}

# Database, server, and who may submit; workers come later
start_all()
{
	mkdir -p "$logs"
	rm -f "$logs"/*
	{
		pg_ctlcluster 15 main start &&
			/usr/share/lava-server/postinst.py --config --db --fixup &&
			mkdir -p $config/devices $config/device-types &&
			cp "$fleet/bochs.jinja2" $config/device-types &&
			chown -R lavaserver:lavaserver $config &&
			manage users add --superuser --passwd "$LAVA_TOKEN" fleet &&
			manage tokens add --user fleet --secret "$LAVA_TOKEN" &&
			manage device-types add qemu && manage device-types add bochs
	} >"$logs/setup.log" 2>&1 || { tail -n 20 "$logs/setup.log" >&2; return 1; }
	start_server
}
