# Runs one server and ends it when told to, or when whoever started it is gone (also by kill -9).
# Environment: GUARD_DIR (removed at the end), GUARD_SIGNAL (how to end it when stdin closes).
# Stdin: one line "<signal> keep|remove". Stdout: the server's pid.
"$@" >>"$GUARD_DIR/server.log" 2>&1 </dev/null &
child=$!
echo "$child"
read -r signal what || true
kill -s "${signal:-$GUARD_SIGNAL}" "$child" 2>/dev/null
kill -s CONT "$child" 2>/dev/null
wait "$child" 2>/dev/null
if [ "$what" != keep ]; then rm -rf "$GUARD_DIR"; fi
