/* Counts the instructions of a thread by Python function, one single step of the processor at a time.

   Counting is on between `stepper_begin` and `stepper_end`, which one Python function calls, after the signal that
   switches it on. The same signal switches it off and writes one line for each function, and one for each of its lines:
   the instructions of the function itself (with the C functions that it calls), those with the Python functions that it
   calls, the line or -1, the file and the name. */

#define _GNU_SOURCE
#define Py_BUILD_CORE
#include <Python.h>
#include <internal/pycore_frame.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { SLOTS = 1 << 16, DEEPEST = 200, SETTLED = 12 };

typedef struct { PyCodeObject *code; int at; uint64_t own, total, stamp; } Slot;

static Slot slots[SLOTS];
static PyThreadState *thread;
static _PyInterpreterFrame *base;
static uint64_t steps;
static int is_on;
static char path[4096];

/* The frames in progress, the innermost first. A frame that has just become current may not be complete yet, so a
   change is used only some instructions later. */
static _PyInterpreterFrame *frames[DEEPEST];
static int depth, age;

static Slot *slot_of(PyCodeObject *code, int at) {
    uint64_t hash = ((uintptr_t)code + (uint64_t)at * 2654435761u) * 0x9E3779B97F4A7C15u;
    for (uint64_t number = hash >> 48;; number = (number + 1) % SLOTS) {
        Slot *slot = &slots[number];
        if (slot->code == NULL) slot->code = code, slot->at = at;
        if (slot->code == code && slot->at == at) return slot;
    }
}

static void find_frames(void) {
    static _PyInterpreterFrame *last;
    _PyInterpreterFrame *frame = thread->cframe->current_frame;
    if (frame != last) last = frame, age = 0;
    if (++age != SETTLED) return;
    for (depth = 0; frame != NULL && frame != base && depth < DEEPEST; frame = frame->previous) frames[depth++] = frame;
}

static void on_step(int signal) {
    find_frames();
    steps++;
    for (int number = 0; number < depth; number++) {
        Slot *slot = slot_of(frames[number]->f_code, -1);
        if (slot->stamp != steps) slot->total++, slot->stamp = steps; /* once, though it calls itself */
    }
    _PyInterpreterFrame *frame = depth ? frames[0] : base;
    slot_of(frame->f_code, (int)(frame->prev_instr - _PyCode_CODE(frame->f_code)))->own++;
}

static const char *text(PyObject *unicode) { return (const char *)PyUnicode_1BYTE_DATA(unicode); }

static void on_toggle(int signal) {
    is_on = !is_on;
    if (is_on) {
        memset(slots, 0, sizeof slots);
        return;
    }
    FILE *file = fopen(path, "w");
    for (Slot *slot = slots; slot < slots + SLOTS; slot++) {
        if (slot->code == NULL) continue;
        int line = slot->at < 0 ? -1 : PyCode_Addr2Line(slot->code, slot->at * (int)sizeof(_Py_CODEUNIT));
        fprintf(file, "%lu\t%lu\t%d\t%s\t%s\n", slot->own, slot->total, line, text(slot->code->co_filename),
                text(slot->code->co_qualname));
    }
    fprintf(file, "end\n");
    fclose(file);
}

void stepper_install(const char *to, int toggle) {
    struct sigaction step = {.sa_handler = on_step, .sa_flags = SA_RESTART};
    struct sigaction switched = {.sa_handler = on_toggle, .sa_flags = SA_RESTART};
    strncpy(path, to, sizeof path - 1);
    thread = PyThreadState_Get();
    sigaction(SIGTRAP, &step, NULL);
    sigaction(toggle, &switched, NULL);
}

void stepper_begin(void) {
    if (!is_on) return;
    base = thread->cframe->current_frame, depth = age = 0;
    __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "cc", "memory"); /* the trap flag */
}

void stepper_end(void) { __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "cc", "memory"); }
