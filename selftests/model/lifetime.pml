/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How jobs, memory and contexts of pindrop end, for the model checker spin.
 * 'make model' tries every interleaving; cases says which, and what must fail.
 *
 * Two contexts share one channel, which takes one piece at a time. Each has a
 * buffer, held by its handle and by one mapping, and submits one job; job 0 has
 * two pieces, so that it can be half done. With RING a kernel thread makes job
 * 2 for context 0. With FENCE job 0 waits for a fence of somebody else, which may
 * never come. Each proctype may run at any time; an atomic or d_step block
 * is what one lock covers, or what nobody can see the middle of.
 *
 * Time is not counted. What is bounded by time may end at any moment: a piece
 * can be late at once, a deadline can have passed at once. With PATIENT no
 * deadline ever passes, so what is safe with it does not hang on one.
 *
 * Ghosts, which the driver does not have: hw_run with hw_buf, the buffer that
 * the device may still touch; hw_hangs; bad, data that did not arrive; synced,
 * the CPU sees the data; k1, nothing is queued any more; leaving, how many are
 * on their way out.
 *
 * What stands for what. 'make model' fails if driver/ does not have a name.
 *
 *   App        pindrop_submit job_set_side pindrop_enter wait_result
 *   enqueue    pindrop_chan_submit chan_enqueue job_destroy pindrop_exit
 *   Mem        verb_free pindrop_buf_drop_handle buf_vm_close
 *   Death      owner_release pindrop_farewell_give farewell_release
 *   Close      pindrop_release
 *   die        pindrop_ctx_stop
 *   drop       pindrop_ctx_drop pindrop_buf_drop_all
 *   cancel     pindrop_chan_cancel
 *   ctx_wait   pindrop_ctx_wait pindrop_ctx_settled
 *   settle     pindrop_ctx_settle_locked
 *   ctx_put    pindrop_ctx_put ctx_free
 *   buf_put    pindrop_buf_put buf_free pindrop_buf_unmap
 *   pump       pindrop_chan_pump_locked
 *   issue      piece_issue piece_start
 *   service    pindrop_chan_service_locked pindrop_piece_done
 *   report     job_report
 *   finish     pindrop_job_finish
 *   fail       pindrop_job_unqueue
 *   lose       pindrop_job_lose
 *   wedge      chain_wedge pindrop_chan_fail_locked
 *   reap       pindrop_reap
 *   retire     job_retire pindrop_job_drop_bufs
 *   Reaper     pindrop_reap_work
 *   replay     piece_replays
 *   Chain      pindrop_chain_work pindrop_chain_kick chain_idle_locked
 *   Irq        pindrop_service
 *   ask        pindrop_batch_begin deps_ask
 *   Fence      dep_called dep_over
 *   FenceIrq   batch_go_on pindrop_chan_go_on queue_waits_for_fence
 *   batch_put  pindrop_batch_put batch_free
 *   Hw         edu_issue edu_abort edu_cut chain_abort_locked
 *   Remove     pindrop_unregister pindrop_chain_remove pindrop_chain_poll dev_quiesce
 *   Remove     pindrop_buf_unmap_all pindrop_chan_fini edu_remove pindrop_chain_stop
 *   release    edu_start_up pindrop_quarantine_keep pindrop_quarantine_prove
 *   reset      chain_escalate chain_isolate chain_try_reset pindrop_chain_restart edu_reset
 *   Bus        pindrop_pause pindrop_unpause pindrop_chain_stop pindrop_chain_cut
 *   Bus        edu_reset_prepare edu_reset_done edu_slot_reset
 *   Bus        edu_error_detected edu_resume_errors edu_suspend edu_resume
 *   Ring       not built yet
 */

#ifndef BREAK
#define BREAK NOTHING		/* or a protection that is left out: see cases */
#endif
#ifndef REACH
#define REACH NOTHING		/* or a place that is an error to reach */
#endif
#define HAS(protection) (BREAK != protection)
#define REACHED(place) assert(REACH != place) /* reached */
mtype = { NOTHING,
	NO_I1, NO_I2, NO_I2_RESET, NO_I2_PROBE, NO_I3, NO_I4, NO_I5, NO_P3, NO_BOUND, RESET_BLOCKS,
	RING_PUTS_EARLY, REPLAYS_THE_DEAD, PAUSE_ISSUES, CLOSE_FORGETS, CUT_IS_DONE, LATE_GONE, PUMP_SHUT,
	KEEPS_CALLBACK, NO_IRQ_SYNC,
	JOB_DONE, DRAINED_IN_TIME, LOST_FOR_EVER, PROVED_LATE, PROVED_BY_PROBE, PROVED_BY_RESET, REPLAYED, RING_OWNER_DEAD,
	WAITED, CANCELED_WAITING }

#ifdef ONE_OWNER
#define OWNER(c) 0
#define LAST(o) 1
#else
#define OWNER(c) c
#define LAST(o) o
#endif
#ifdef PATIENT
#define DEADLINE false
#else
#define DEADLINE true
#endif
#ifdef NO_FREE
#define FREES false
#else
#define FREES true
#endif
#define WHEN(condition, ...) if :: condition -> __VA_ARGS__ :: else fi

#define NONE 3			/* no job */
mtype = { OPEN, DYING, DRAINED, LOST,			/* contexts; a job is LOST, too */
	QUEUED, FINISHED, RETIRING, RETIRED,		/* jobs; FINISHED: on ctx::done, RETIRING: taken from there */
	RUN, STOPPING, WEDGED, GONE }			/* the channel */

typedef Ctx { mtype state; unsigned ref : 3; bit dropped, closed, in_ioctl, reap_queued, k1 };
typedef Buf { unsigned ref : 3; bit handle, vma };
typedef Job { mtype state; unsigned left : 2; bit reported, err, bad, synced, again };
Ctx ctx[2];
Buf buf[2];
Job job[3];
byte mm_users[2], leaving;
mtype chan_state = RUN;
unsigned cur : 2 = NONE;		/* whose piece is on the hardware */
unsigned gate : 2;			/* how many are inside */
bit gone, paused, unmapped, device_lock, chain_runs, ring_entry, ring_stop;
bit hw_run, hw_hangs, hw_buf, bus_master = 1, present = 1;
#ifdef FENCE
bit pending, callback, irq_queued, batch;	/* batch: it is there */
#define HELD(j) (j == 0 && pending)
#define IRQ_SYNC(j) (j != 0 || !irq_queued || !HAS(NO_IRQ_SYNC))
#else
#define HELD(j) false
#define IRQ_SYNC(j) true
#endif

#define CTX(j) (j & 1)			/* a job's context, and its buffer */
#define IDLE (present && !hw_run)	/* as read: a device that is gone reads busy */
#define OVER (cur != NONE && IDLE)
#define TOUCHES(b) (hw_run && hw_buf == b)
#define WAITS(j) (job[j].state == QUEUED && job[j].left)
#define READY(j) (WAITS(j) && !HELD(j))
#define LIVE1(j) (job[j].state && job[j].state != RETIRED)
#define LIVE(c) (LIVE1(c) || (c == 0 && LIVE1(2)))
#define LOST1(j) (!LIVE1(j) || job[j].state == LOST)
#define ALL_LOST(c) (LOST1(c) && (c == 1 || LOST1(2)))
#define DONE(c) (job[c].state == FINISHED || (c == 0 && job[2].state == FINISHED))
#define SETTLED(c) (ctx[c].state == DRAINED || ctx[c].state == LOST)
#define MAY_ISSUE (chan_state == RUN && cur == NONE && (!gone || !HAS(PUMP_SHUT)) && (!paused || !HAS(PAUSE_ISSUES)))
#define LEFT_OVER (MAY_ISSUE && (READY(0) || READY(1) || (READY(2) && !HELD(0))))

inline ctx_put(c) {
	assert(ctx[c].ref > 0);			/* a context is put too often */
	ctx[c].ref--;
	assert(ctx[c].ref > 0 || !LIVE(c))	/* a context is freed under its job */
}

inline buf_put(b, refs) {
	assert(buf[b].ref >= refs);		/* a buffer is put too often */
	buf[b].ref = buf[b].ref - refs;
	WHEN(buf[b].ref == 0, printf("the pages of buffer %d go back\n", b));
	assert(buf[b].ref > 0 || !TOUCHES(b))	/* P1: pages are freed that the device may touch */
}

/* --- a job; the channel's lock is held --- */

inline report(j) {			/* ticket and fence: what the owner sees */
	assert(!job[j].reported);		/* I5: a fence is signalled twice */
	assert(job[j].err || !job[j].bad);	/* P5: reported as done, but not copied */
	WHEN(job[j].err, printf("job %d is reported: failed\n", j));
	WHEN(!job[j].err, printf("job %d is reported: done\n", j); REACHED(JOB_DONE));
	job[j].reported = 1
}

inline finish(j) {
	assert(ctx[CTX(j)].ref > 0);		/* a context is used after it is freed */
	assert(job[j].state == QUEUED || job[j].state == LOST);	/* a job is finished twice */
	WHEN(job[j].state == QUEUED, report(j));
	job[j].state = FINISHED; job[j].left = 0; job[j].bad = 0;
	WHEN(!ctx[CTX(j)].reap_queued, ctx[CTX(j)].reap_queued = 1; ctx[CTX(j)].ref++)
}

inline fail(j) {			/* what is on the hardware ends in service */
	WHEN(HELD(j), REACHED(CANCELED_WAITING));
	job[j].err = 1; job[j].left = 0;
	WHEN(cur != j, finish(j))
}

inline lose(j) {
	printf("job %d is LOST\n", j);
	job[j].state = LOST; job[j].err = 1; job[j].left = 0;
	WHEN(HAS(NO_I5), report(j));
	settle(CTX(j))
}

inline issue(j) {
	printf("a piece of job %d is issued\n", j);
	assert(buf[CTX(j)].ref > 0);		/* P1: the device is given pages that are free */
	assert(!unmapped);			/* I3: the device is given what is unmapped */
	assert(bus_master && !hw_run);		/* I2: issued behind the cut, or on top of a piece */
	assert(!ctx[CTX(j)].k1);		/* I4: a piece of a dead context is issued */
	job[j].left--; cur = j; hw_buf = CTX(j); hw_run = 1
}

/* Thrown away behind a cut, without being to blame: once more, if there is still somebody who wants it. */
#define REPLAYS(j) (job[j].bad && job[j].state == QUEUED && !job[j].err && !job[j].again && !gone && \
	(ctx[CTX(j)].state == OPEN || !HAS(REPLAYS_THE_DEAD)))

inline replay(j) {
	printf("a piece of job %d is to be done again\n", j);
	job[j].left++; job[j].bad = 0; job[j].again = 1; REACHED(REPLAYED)
}

inline pump() {				/* whose turn it is does not matter here */
	if
	:: MAY_ISSUE && READY(0) -> issue(0)
	:: MAY_ISSUE && READY(1) -> issue(1)
	:: MAY_ISSUE && READY(2) && !HELD(0) -> issue(2)
	:: else
	fi
}

inline service() {			/* K3: what is read idle is proved over */
	if
	:: OVER ->
		printf("read idle: a piece of job %d is over\n", cur);
		assert(!unmapped);		/* I3: data is synced that is unmapped */
		job[cur].synced = HAS(NO_I3);
		WHEN(job[cur].state == LOST, REACHED(PROVED_LATE));
		if
		:: REPLAYS(cur) -> replay(cur)
		:: else -> job[cur].err = job[cur].err || (job[cur].bad && !bus_master && HAS(CUT_IS_DONE));
			WHEN(job[cur].state == LOST || job[cur].err || job[cur].left == 0, finish(cur))
		fi;
		cur = NONE;
		WHEN(chan_state == WEDGED, chan_state = RUN; bus_master = bus_master || !gone)
	:: else
	fi;
	pump()
}

inline wedge() {			/* K8 */
	chan_state = WEDGED;
	WHEN(WAITS(0), fail(0)); WHEN(WAITS(1), fail(1)); WHEN(WAITS(2), fail(2));
	WHEN(!HAS(NO_I2) && cur != NONE, job[cur].err = 1; finish(cur); cur = NONE);
	WHEN(cur != NONE && job[cur].state == QUEUED, lose(cur))
}

/* --- what a job waits for --- */

#ifdef FENCE
inline ask(j) {				/* before it is queued */
	WHEN(j == 0, batch = 1;
		if
		:: printf("job 0 waits for a fence\n"); pending = 1; callback = 1
		:: true				/* which has come */
		fi)
}

inline batch_put(j) {			/* takes the callback back: it has run, or never will */
	WHEN(j == 0 && batch, batch = 0; pending = 0; WHEN(HAS(KEEPS_CALLBACK), callback = 0))
}

active proctype Fence() {		/* somebody else's, signalled under its own lock; or never */
end:	do
	:: d_step { callback ->
		printf("the fence is signalled\n"); callback = 0;
		assert(batch);			/* a fence calls back who is gone */
		pending = 0; irq_queued = 1 }
	od
}

active proctype FenceIrq() {
end:	do
	:: atomic { irq_queued ->
		assert(batch && ctx[0].ref > 0);	/* an interrupt goes on with jobs that are gone */
		WHEN(READY(0) && MAY_ISSUE, REACHED(WAITED));
		pump(); irq_queued = 0 }
	od
}
#else
#define ask(j) skip
#define batch_put(j) skip
#endif

/* --- a context --- */

inline settle(c) {
	if
	:: ctx[c].state != OPEN && ctx[c].dropped && !LIVE(c) -> ctx[c].state = DRAINED
	:: ctx[c].state != OPEN && ctx[c].dropped && LIVE(c) && ALL_LOST(c) -> ctx[c].state = LOST
	:: else
	fi
}

inline reap(c) {			/* takes what is done; Reaper goes on with it */
	assert(ctx[c].ref > 0);			/* a context is used after it is freed */
	WHEN(job[c].state == FINISHED, job[c].state = RETIRING);
	WHEN(c == 0 && job[2].state == FINISHED, job[2].state = RETIRING);
	settle(c)
}

inline retire(j) {
	printf("job %d is retired\n", j);
	job[j].state = RETIRED; job[j].err = 1; job[j].synced = 0;	/* err, synced: of no meaning now */
	buf_put(CTX(j), HAS(NO_I1));
	batch_put(j);
	settle(CTX(j));
	ctx_put(CTX(j))
}

inline cancel(c) {			/* K1 */
	printf("K1: context %d has nothing queued\n", c);
	WHEN(WAITS(c), fail(c)); WHEN(c == 0 && WAITS(2), fail(2));
	ctx[c].k1 = 1
}

inline die(c) {				/* K0; K1 is cancel, which a second one repeats unless the first is done with it */
	WHEN(ctx[c].state == OPEN, ctx[c].state = DYING; printf("K0: context %d is dying\n", c))
}

inline drop(c) {
	WHEN(!ctx[c].dropped, WHEN(buf[c].handle, buf[c].handle = 0; buf_put(c, 1)); ctx[c].dropped = 1; reap(c))
}

inline ctx_wait(c) {
	do
	:: SETTLED(c) -> break
	:: DEADLINE && !SETTLED(c) -> break
	:: d_step { !SETTLED(c) && DONE(c) -> reap(c) }
	od
}

inline enqueue(c, j) {			/* inside the gate, which it leaves */
	gate--;
	ask(j);
	if
	:: (HAS(NO_I4) -> ctx[c].state == OPEN : seen) && chan_state != WEDGED && chan_state != GONE ->
		printf("job %d is queued\n", j);
		assert(!ctx[c].k1);		/* I4: a dead context takes a job */
		assert(ctx[c].ref > 0);		/* a context is used after it is freed */
		ctx[c].ref++; job[j].state = QUEUED; job[j].left = (j == 0 -> 2 : 1);
		if
		:: pump()
#ifdef UNPLUG
		:: MAY_ISSUE			/* PUMP_BUDGET is spent: the chain goes on */
#endif
		fi
	:: else -> buf_put(c, HAS(NO_I1)); batch_put(j)
	fi
}

/* --- who runs --- */

proctype App(byte me) {			/* SUBMIT, a look at the data, the end of the thread */
	bit seen;
	if
	:: d_step { buf[me].handle && !ctx[me].closed && !gone ->
		printf("job %d is made, for buffer %d\n", me, me);
		ctx[me].in_ioctl = 1;		/* which holds the file */
		buf[me].ref = buf[me].ref + HAS(NO_I1); gate++;
		seen = !HAS(NO_I4) && ctx[me].state == OPEN };
	   atomic { enqueue(me, me); ctx[me].in_ioctl = 0; seen = 0 }
	:: !buf[me].handle || ctx[me].closed || gone
	fi;
	d_step {
		assert(!job[me].reported || job[me].err || job[me].synced);	/* I3: the fence comes before the data */
		mm_users[OWNER(me)]-- }
}

proctype Mem(byte c) {			/* FREE by a thread; munmap by anybody, or in exit */
end:	do
	:: d_step { FREES && buf[c].handle && mm_users[OWNER(c)] > 0 ->
		printf("FREE of buffer %d\n", c); buf[c].handle = 0; buf_put(c, 1) }
	:: d_step { buf[c].vma ->
		printf("munmap of buffer %d\n", c); buf[c].vma = 0; buf_put(c, 1) }
	od
}

proctype Death(byte o) {		/* the hook in exit_mmap, in who dropped the last mm_users; then its farewell */
	byte c = o;
	d_step { mm_users[o] == 0 -> leaving++; printf("the address space of owner %d ends\n", o) };
	do
	:: d_step { ctx[c].ref > 0 && !ctx[c].k1 -> ctx[c].ref++; die(c) };
	   d_step { WHEN(!ctx[c].k1, cancel(c)); ctx_put(c) }
	:: atomic { ctx[c].ref == 0 || ctx[c].k1 -> c++; WHEN(c > LAST(o), c = o; break) }
	od;
	do
	:: d_step { ctx[c].ref > 0 && !ctx[c].dropped ->
		printf("the farewell drops context %d\n", c); ctx[c].ref++; drop(c); ctx_put(c) }
	:: atomic { ctx[c].ref == 0 || ctx[c].dropped -> c++; WHEN(c > LAST(o), c = o; break) }
	od;
	do
	:: d_step { ctx[c].ref > 0 && !SETTLED(c) -> ctx[c].ref++ };
	   ctx_wait(c);
	   atomic { ctx_put(c); WHEN(!SETTLED(c), leaving--; break) }
	:: atomic { ctx[c].ref == 0 || SETTLED(c) ->
		assert(ctx[c].state != DRAINED || buf[c].ref == buf[c].vma);	/* P2: waitpid returns, memory is held */
		WHEN(ctx[c].state == DRAINED && job[c].state == RETIRED, REACHED(DRAINED_IN_TIME));
		c++; WHEN(c > LAST(o), leaving--; break) }
	od
}

proctype Close(byte c) {		/* mappings and ioctls hold the file, too */
	d_step { !buf[c].vma && !ctx[c].in_ioctl ->
		ctx[c].closed = 1; leaving++; printf("the file of context %d is closed\n", c) };
	if
	:: d_step { ctx[c].state == OPEN -> die(c) };
	   d_step { WHEN(!ctx[c].k1, cancel(c)) };
	   d_step { drop(c) };
	   ctx_wait(c)
	:: d_step { ctx[c].state != OPEN -> WHEN(!ctx[c].k1, cancel(c)) };
	   d_step { drop(c) }
	fi;
	atomic {
		if
		:: ctx[c].reap_queued ->
			printf("the reaper's work for context %d is cancelled\n", c);
			ctx[c].reap_queued = 0;
			WHEN(HAS(CLOSE_FORGETS), reap(c));
			ctx_put(c)
		:: else
		fi;
		ring_stop = ring_stop || c == 0;
		ctx_put(c); leaving-- }
}

active proctype Reaper() {
end:	do
	:: d_step { ctx[0].reap_queued -> ctx[0].reap_queued = 0; reap(0); ctx_put(0) }
	:: d_step { ctx[1].reap_queued -> ctx[1].reap_queued = 0; reap(1); ctx_put(1) }
	:: d_step { job[0].state == RETIRING && IRQ_SYNC(0) -> retire(0) }
	:: d_step { job[1].state == RETIRING -> retire(1) }
	:: d_step { job[2].state == RETIRING -> retire(2) }
	od
}

inline reset() {			/* K5, with bus master off; gives way to remove */
	if
	:: d_step { !device_lock -> device_lock = 1; bus_master = 0; WHEN(cur != NONE, job[cur].err = 1) };
	   if
	   :: d_step { present && hw_run -> hw_run = 0; hw_hangs = 0; hw_buf = 0 }
	   :: true				/* it does not help */
	   fi;
	   atomic { device_lock = 0; chain_runs = 0;
		WHEN(!HAS(NO_I2_RESET) && cur != NONE, finish(cur); cur = NONE);
		if
		:: cur != NONE && !IDLE -> wedge()
		:: else -> chan_state = RUN; bus_master = 1; service(); REACHED(PROVED_BY_RESET)
		fi }
	:: atomic { device_lock && HAS(RESET_BLOCKS) -> chain_runs = 0; wedge() }
	fi
}

active proctype Chain() {		/* the watchdog, and the chain from K2 on */
end:	do
	:: atomic { !gone && !paused && OVER -> service() }
	:: atomic { !gone && !paused && LEFT_OVER -> pump() }
	:: atomic { HAS(NO_P3) && !gone && !paused && cur != NONE && !IDLE && chan_state == RUN ->
		printf("a piece of job %d is late\n", cur);
#ifdef RESET
		chan_state = STOPPING; chain_runs = 1 };
	   reset()
#else
		wedge() }
#endif
	od
}

active proctype Irq() {			/* late ones, and others' on the same line */
end:	do
	:: atomic { chan_state != GONE && OVER -> service() }
	:: atomic { chan_state != GONE && LEFT_OVER -> pump() }
	od
}

active proctype Hw() {
end:	do
	:: atomic { hw_run && !hw_hangs ->
		if
		:: bus_master -> printf("the transfer ends\n")
		:: bus_master && cur != NONE && ctx[CTX(cur)].state != OPEN ->	/* K2 */
			printf("the transfer is aborted\n"); job[cur].err = 1
		:: !bus_master ->
			printf("the transfer is dropped\n"); WHEN(cur != NONE && !job[cur].err, job[cur].bad = 1)
		fi;
		hw_run = 0; hw_buf = 0 }
	:: d_step { hw_run && !hw_hangs -> hw_hangs = 1; printf("the device hangs\n") }
#ifdef SURPRISE
	:: d_step { present -> present = 0; printf("the device is pulled out\n");
		WHEN(hw_run && !job[cur].err, job[cur].bad = 1);
		hw_run = 0; hw_hangs = 0; hw_buf = 0 }
#endif
	od
}

inline release() {			/* of quarantine: a probe reads idle, or the device has left the bus */
	d_step { !hw_run || !HAS(NO_I2_PROBE) ->
		bus_master = present;
		WHEN(cur != NONE, printf("job %d is proved over\n", cur); finish(cur); cur = NONE; REACHED(PROVED_BY_PROBE)) }
}

proctype Bus() {			/* a reset, an error or a suspend by the bus: once */
end:	d_step { !device_lock && !gone && !chain_runs -> device_lock = 1; paused = 1; printf("the bus has the device\n") };
	do
	:: atomic { OVER -> service() }
	:: cur == NONE -> break
	:: cur != NONE && !IDLE -> break			/* late */
	od;
	atomic { bus_master = 0; printf("bus master is off\n") };
	do
	:: atomic { OVER -> service() }
	:: d_step { present && hw_run ->			/* a reset may help, or not */
		printf("the transfer is thrown away\n");
		WHEN(cur != NONE && !job[cur].err, job[cur].bad = 1); hw_run = 0; hw_hangs = 0; hw_buf = 0 }
	:: true -> break
	od;
	atomic {
		if
		:: cur != NONE && !IDLE -> wedge()
		:: else -> service(); bus_master = 1; chan_state = RUN
		fi;
		paused = 0; device_lock = 0; pump() }
}

#define LEAVE WHEN(HAS(LATE_GONE), chan_state = GONE)
proctype Remove() {
	byte c;
	d_step { !device_lock -> device_lock = 1; gone = 1; leaving++; printf("K0: the gate is shut\n") };
	do					/* the contexts whose file is open; no lock is held meanwhile */
	:: d_step { !ctx[c].closed -> ctx[c].ref++; die(c) };
	   atomic { WHEN(!ctx[c].k1, cancel(c)); ctx_put(c); c++; WHEN(c > 1, c = 0; break) }
	:: atomic { ctx[c].closed -> c++; WHEN(c > 1, c = 0; break) }
	od;
	!chain_runs;				/* dev::chain */
	do
	:: atomic { OVER -> service() }
	:: atomic { cur == NONE -> LEAVE; goto quiet }
	:: cur != NONE && !IDLE && !HAS(NO_BOUND)
	:: d_step { cur != NONE && HAS(NO_BOUND) ->	/* the engine's bound has passed: K6 */
		printf("K6: bus master is off\n"); bus_master = 0;
		WHEN(HAS(CUT_IS_DONE), job[cur].err = 1) };
	   break
	od;
	do
	:: atomic { OVER -> service() }
	:: atomic { cur == NONE -> LEAVE; break }
	:: atomic { cur != NONE -> wedge(); LEAVE; break }
	od;
quiet:	gate == 0;				/* synchronize_srcu: all fences are signalled by now */
	d_step { WHEN(!ctx[0].closed, ctx[0].ref++; drop(0); ctx_put(0)) };
	d_step { WHEN(!ctx[1].closed, ctx[1].ref++; drop(1); ctx_put(1)) };
	atomic { assert(!hw_run || !bus_master);	/* P1: unmapped under the device */
		unmapped = 1; printf("everything is unmapped\n") };
	d_step { chan_state = GONE; bus_master = 0; device_lock = 0; leaving-- };
end:	release()
}

proctype Ring() {			/* takes the one entry of the ring of context 0 */
	bit seen;
end:	do
	:: d_step { ring_entry && mm_users[0] > 0 && buf[0].handle && !gone ->
		printf("the entry becomes job 2, for buffer 0\n"); ring_entry = 0;
		mm_users[0] = mm_users[0] + HAS(RING_PUTS_EARLY);	/* mmget_not_zero; mmput_async is below */
		buf[0].ref = buf[0].ref + HAS(NO_I1); gate++;
		seen = !HAS(NO_I4) && ctx[0].state == OPEN };
	   atomic { enqueue(0, 2); seen = 0; WHEN(job[2].state == 0, job[2].err = 1; report(2));
		mm_users[0] = mm_users[0] - HAS(RING_PUTS_EARLY) }
	:: d_step { ring_entry && (mm_users[0] == 0 || !buf[0].handle || gone) ->
		ring_entry = 0; job[2].err = 1; report(2); WHEN(mm_users[0] == 0, REACHED(RING_OWNER_DEAD)) }
	:: d_step { ring_stop -> ctx_put(0) }; break
	od
}

init {
	byte c;
	atomic {
		do
		:: c < 2 ->
			ctx[c].state = OPEN; ctx[c].ref = 1; buf[c].ref = 2; buf[c].handle = 1; buf[c].vma = 1;
			mm_users[OWNER(c)]++;
#ifdef SOLO
			WHEN(c == 1, break);
#endif
			run App(c);
#ifdef LITE
			WHEN(c == 1, break);
#endif
			run Mem(c);
			WHEN(c <= OWNER(c), run Death(c));
			if
			:: run Close(c)
#ifdef KEPT
			:: true				/* somebody else keeps the file */
#endif
			fi;
			c++
		:: else -> break
		od;
#ifdef RING
		ctx[0].ref++; ring_entry = 1; run Ring();
#endif
#ifdef PAUSE
		run Bus();
#endif
#ifdef UNPLUG
		if
		:: run Remove()
		:: true
		fi
#endif
	};
	timeout;				/* nobody can go on */
	d_step {
		assert(leaving == 0);		/* P3: somebody waits for ever on the way out */
		for (c : 0 .. 2) {
			assert(!job[c].state || job[c].reported);	/* I5: a fence is never signalled */
			assert(!LIVE1(c) || job[c].state == LOST);	/* a job is over and never retired */
			assert(!LIVE1(c) || !IDLE);			/* a job stays LOST in spite of proof */
			WHEN(job[c].state == LOST, REACHED(LOST_FOR_EVER))
		}
		for (c : 0 .. 1) {
			assert(ctx[c].state == OPEN || SETTLED(c));	/* a dead context never settles */
			assert(!ctx[c].closed || LIVE(c) || ctx[c].ref == 0);	/* a context leaks */
			assert(buf[c].ref == buf[c].handle + buf[c].vma + HAS(NO_I1) * (LIVE1(c) + (c == 0 && LIVE1(2))))	/* a buffer leaks */
		}
	}
}
