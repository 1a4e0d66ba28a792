/* Switches callgrind's counting on and off within a process. */

#include <valgrind/callgrind.h>

void collect_toggle(void) { CALLGRIND_TOGGLE_COLLECT; }
