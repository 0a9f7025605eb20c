#!/bin/sh
# A private RabbitMQ for tests, ruled by lines on the standard input: `start`, `kill`, `end`. Each is
# answered by a line when it is done. However the program at the other end of that pipe dies, the
# pipe ends with it, and then so do the broker, its name server and all that they have written.
#
# The environment says where: DIR (an empty folder), PORT, DIST_PORT, EPMD_PORT, NODE.
server=
names=

start() {
    if [ -z "$names" ]; then
        epmd -port "$EPMD_PORT" -address 127.0.0.1 >/dev/null 2>&1 </dev/null &
        names=$!
    fi
    # RUNNING_UNDER_SYSTEMD makes the script become the broker instead of watching over it, so that
    # its process id is the broker's.
    RUNNING_UNDER_SYSTEMD=true /usr/lib/rabbitmq/bin/rabbitmq-server >>"$DIR/out" 2>&1 </dev/null &
    server=$!
}

kill_server() {
    [ -n "$server" ] || return 0
    kill -9 "$server" 2>/dev/null
    wait "$server" 2>/dev/null
    server=
    return 0
}

end() {
    kill_server
    [ -z "$names" ] || { kill -9 "$names"; wait "$names"; } 2>/dev/null
    names=
    rm -rf "$DIR"
}

export HOME="$DIR" ERL_EPMD_PORT="$EPMD_PORT" ERL_EPMD_ADDRESS=127.0.0.1
export RABBITMQ_NODENAME="$NODE" RABBITMQ_NODE_PORT="$PORT" RABBITMQ_NODE_IP_ADDRESS=127.0.0.1
export RABBITMQ_DIST_PORT="$DIST_PORT" RABBITMQ_MNESIA_BASE="$DIR/data" RABBITMQ_LOG_BASE="$DIR/log"
export RABBITMQ_CONFIG_FILE="$DIR/rabbitmq" RABBITMQ_ENABLED_PLUGINS_FILE="$DIR/plugins"
export RABBITMQ_CONF_ENV_FILE="$DIR/none" RABBITMQ_PID_FILE="$DIR/pid"
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-start_epmd false +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
trap '' INT TERM HUP

while read -r word; do
    case $word in
        start) start ;;
        kill) kill_server ;;
        ctl*) /usr/lib/rabbitmq/bin/rabbitmqctl --quiet ${word#ctl } >>"$DIR/out" 2>&1 </dev/null ;;
        end) end; echo done; exit ;;
    esac && echo done || echo failed
done
end
