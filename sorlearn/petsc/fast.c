/*
   Solves in which there is nothing to decide, without Python.  Of sorlearn.PC: its sweeps, solves that repeat a decision
   while omega follows the matrix, and solves in which omega is held.  Of sorlearn.Lag: applications of the wrapped PC,
   and solves that are all set up for.  Of sorlearn.KSP: solves of the inner KSP, or that repeat the decision for an arm.

   These functions stand in for petsc4py's in the operations of a Python PC or KSP and call those wherever Python has to
   decide, judge or repair.  What is known of it, `State` or `Turn`, is memory of fast.py's, which has the same
   structure.
*/
#include <stdint.h>
#include <string.h>
#include <petsc/private/kspimpl.h>
#include <petsc/private/pcimpl.h>

/* Solves of which all is kept. */
#define KEPT 512
/* Relative tolerance above which nothing is tried, as in tuning/cost.py. */
#define LOOSE 0.316227766016837941

/* What a KSP has that isn't the user's, and goes back as soon as an error ends the solve; NULL for none.  It raises no
   error for a failed solve, because a repair comes first, though it is strict; it has other tolerances, another limit. */
typedef struct {
  KSP     ksp;
  int64_t strict;
  double  rtol, atol, tight_rtol, tight_atol;
  int64_t max_it, limit;
} Loan;

typedef struct State State;
struct State {
  State *next;
  PC     pc;
  PetscErrorCode (*setup)(PC), (*apply)(PC, Vec, Vec), (*applytranspose)(PC, Vec, Vec);
  PetscErrorCode (*presolve)(PC, KSP, Vec, Vec), (*postsolve)(PC, KSP, Vec, Vec);
  /* the sweeps: MatSOR's arguments; applications until something is to be looked after, 0 for never */
  double  omega, last, shift;
  int64_t flags, its, lits, countdown;
  /* what Python is entered for: after a sweep, after an error of this code */
  int64_t swept, error;
  /* the matrix type that has been set up; the KSP that the following is said of; whether omega is held in it */
  char    kind[64];
  int64_t solver, norm, holds;
  /* the wrapped PC, which is applied for the sweeps; seconds that setting it up took; whether that was since the last
     solve, and its applications in this one */
  PC      inner;
  double  set_up;
  int64_t wraps, fresh, applications;
  /* a decision: solves that may repeat it, with so many iterations; how many may where omega can't follow; omega is 0
     or 1 in solves of the wrapped PC, for a set-up that was kept or made from nothing */
  int64_t left, patience;
  double  chosen, least, most, safe, fallback;
  int64_t repairable, limit, early;
  double  tighten_rtol, tighten_atol, least_rtol;
  /* digits by which the first residual may be longer than the answer; 0 where it doesn't matter */
  double  easy;
  void   *test;
  Vec     guess;
  /* omega follows rho, of the row where it is largest: see learners/auto; row is -1 where it can't, -2 where the process
     has none; `here` is rho of the matrix seen last, `rho` that of all processes which omega stands for */
  int64_t matrix, matrix_state, row, place, rows;
  double  here, rho, scale, gap, epsilon, weight, farthest, u, u_low, u_high, u_least, u_most;
  /* by how much u has fallen from where the decision was made, and the power of its exponential that iterations may
     rise or fall by */
  double  drift, rate;
  /* the solve under way, which repeats the decision, its KSP and what of that isn't the user's; fast.py forgets both
     with the KSP */
  int64_t running, limited, transposed;
  KSP     ksp;
  Loan    loan;
  double  began, elapsed;
  /* solves that have repeated it, and Python hasn't heard of; others in which there was nothing to solve */
  int64_t solves, iterations, idle;
  double  seconds;
  struct {
    double  omega, seconds;
    int64_t iterations, reason, applications;
  } kept[KEPT];
};

/* An arm's turn to solve for the outer KSP. */
typedef struct Turn Turn;
struct Turn {
  Turn *next;
  KSP   outer, inner;
  PetscErrorCode (*solve)(KSP);
  /* solves that are its to make; iterations beyond which one is the last; the outer KSP's PC, norm and side */
  PC      pc;
  int64_t left, most, norm, side;
  /* KSPGetMinimumIterations and KSPGetConvergedNegativeCurvature, which older PETScs don't have */
  PetscErrorCode (*minimum)(KSP, PetscInt *);
  PetscErrorCode (*curvature)(KSP, PetscBool *);
  /* whether answers are judged, with this vector, and where the guess is kept then: residuals may exceed what is allowed
     by so many digits; by which factor tolerances are tightened */
  Vec    judge, guess;
  double lenient, scale;
  /* the error that ended a solve of an arm that isn't safe, and Python's exception, as PyErr_Fetch takes it away: petsc4py
     never lets go of the interpreter's lock */
  void (*fetch)(void **, void **, void **);
  int64_t error;
  void   *exception[3];
  /* what has been solved, and Python hasn't heard of; the most digits that an answer lacked */
  int64_t solves, iterations;
  double  seconds, lacks;
  /* the last one, if its answer was no good and another was got from Python: its KSPConvergedReason */
  int64_t lost, lost_iterations;
  double  lost_seconds, lost_lacks;
};

/* What this file was compiled for; fast.py compares it with what is running. */
const int64_t sorlearn_built_for[] = {PETSC_VERSION_MAJOR, PETSC_VERSION_MINOR, PETSC_VERSION_SUBMINOR,
                                      sizeof(PetscScalar), sizeof(PetscReal), sizeof(PetscInt), sizeof(State),
                                      sizeof(Turn)};

static State *first;
static Turn  *first_turn;

static PetscErrorCode SolveInTurn(KSP);

/* Whether a KSP leaves its solves to another one, which this PC hears of next. */
static PetscBool Delegates(KSP ksp)
{
  return (PetscBool)(ksp->ops->solve == SolveInTurn);
}

/* Whether a solve with so many iterations is like the one that its decision was made for, as Repeats.like. */
static PetscBool Like(State *state, PetscInt its)
{
  double drift = state->rate * state->drift;
  double least = state->least * exp(PetscMin(drift, 0.0)), most = state->most * exp(PetscMax(drift, 0.0));
  return (PetscBool)(its >= least && its <= most);
}

/* The state of a PC; the one asked for last comes first. */
static State *Of(PC pc)
{
  for (State **place = &first, *state; (state = *place); place = &state->next)
    if (state->pc == pc) {
      *place      = state->next;
      state->next = first;
      return first = state;
    }
  return NULL;
}

static PetscErrorCode Entered(State *state, PetscErrorCode code)
{
  if (state->error) code = (PetscErrorCode)state->error;
  state->error = 0;
  return code;
}

/* Give the KSP its tolerances back, unless they have been changed since. */
static void GiveBackTolerances(Loan *loan)
{
  if (loan->ksp->rtol == loan->tight_rtol) loan->ksp->rtol = loan->rtol;
  if (loan->ksp->abstol == loan->tight_atol) loan->ksp->abstol = loan->atol;
  loan->tight_rtol = loan->rtol;
  loan->tight_atol = loan->atol;
}

/* Give the KSP everything back. */
PetscErrorCode sorlearn_give_back(Loan *loan)
{
  KSP ksp = loan->ksp;
  PetscFunctionBegin;
  if (!ksp) PetscFunctionReturn(0);
  GiveBackTolerances(loan);
  if (loan->limit && ksp->max_it == loan->limit) ksp->max_it = loan->max_it;
  if (loan->strict) ksp->errorifnotconverged = PETSC_TRUE;
  loan->ksp = NULL;
  PetscCall(PetscPopErrorHandler());
  PetscFunctionReturn(0);
}

/* An error ends the solve, and postsolve won't come: the KSP is as the user had it before anybody sees it. */
static PetscErrorCode OnError(MPI_Comm comm, int line, const char *function, const char *file, PetscErrorCode code,
                              PetscErrorType type, const char *message, void *loan)
{
  (void)sorlearn_give_back((Loan *)loan);
  return PetscError(comm, line, function, file, code, type, message ? "%s" : NULL, message);
}

/* The KSP has been lent other tolerances than the user's, these; it is to raise no error where it is lenient. */
PetscErrorCode sorlearn_lend(Loan *loan, KSP ksp, double rtol, double atol, int64_t lenient)
{
  PetscFunctionBegin;
  PetscCall(PetscPushErrorHandler(OnError, loan));
  loan->ksp        = ksp;
  loan->strict     = lenient && ksp->errorifnotconverged;
  loan->rtol       = rtol;
  loan->atol       = atol;
  loan->tight_rtol = ksp->rtol;
  loan->tight_atol = ksp->abstol;
  loan->limit      = 0;
  if (loan->strict) ksp->errorifnotconverged = PETSC_FALSE;
  PetscFunctionReturn(0);
}

/* As Lent.watch: the tolerances are the user's again after the first test; at its limit a trial is cut off. */
static PetscErrorCode Watch(State *state)
{
  KSP   ksp  = state->ksp;
  Loan *loan = &state->loan;
  PetscFunctionBegin;
  if (!ksp) PetscFunctionReturn(0);
  if (loan->ksp && (loan->tight_rtol != loan->rtol || loan->tight_atol != loan->atol) && state->early) {
    if (!ksp->its) {
      state->countdown = 1;
      PetscFunctionReturn(0);
    }
    GiveBackTolerances(loan);
  }
  if (!state->limit || state->limited) PetscFunctionReturn(0);
  if (ksp->its < state->limit - 1) state->countdown = state->limit - 1 - ksp->its;
  else if (state->limit < ksp->max_it) {
    if (!loan->ksp) PetscCall(sorlearn_lend(loan, ksp, ksp->rtol, ksp->abstol, 0));
    state->limited = 1;
    loan->max_it   = ksp->max_it;
    loan->limit    = state->limit;
    ksp->max_it    = state->limit;
  }
  PetscFunctionReturn(0);
}

/* Make the wrapped PC's PCFailedReason the PC's: KSPs ask for it. */
static PetscErrorCode PassOnFailure(State *state, PC pc)
{
  PCFailedReason reason, before;
  PetscFunctionBegin;
  PetscCall(PCGetFailedReason(state->inner, &reason));
  PetscCall(PCGetFailedReason(pc, &before));
  if (reason != before) PetscCall(PCSetFailedReason(pc, reason));
  PetscFunctionReturn(0);
}

/* As Wrapped: what was put off till the first application is set up then, and stays when the matrix changes in place. */
static PetscErrorCode ApplyWrapped(State *state, PC pc, Vec x, Vec y)
{
  PetscLogDouble now;
  PetscFunctionBegin;
  if (state->countdown == 1) PetscCall(PetscTime(&state->began));
  PetscCall(PCApply(state->inner, x, y));
  state->applications++;
  if (state->countdown == 1) {
    PetscCall(PetscTime(&now));
    state->elapsed = now - state->began;
  }
  PetscCall(PassOnFailure(state, pc));
  if (!state->inner->reusepreconditioner) PetscCall(PCSetReusePreconditioner(state->inner, PETSC_TRUE));
  PetscFunctionReturn(0);
}

static PetscErrorCode Sweep(State *state, PC pc, Vec x, Vec y)
{
  PetscErrorCode code;
  PetscFunctionBegin;
  code = MatSOR(pc->pmat, x, state->omega, (MatSORType)state->flags, state->shift, state->its, state->lits, y);
  if (code) { /* Python explains it */
    state->error = code;
    (void)state->apply(pc, x, y);
    PetscCall(Entered(state, code));
  }
  PetscCall(MatFactorGetError(pc->pmat, (MatFactorError *)&pc->failedreason)); /* as PCSOR */
  PetscFunctionReturn(0);
}

static PetscErrorCode Apply(PC pc, Vec x, Vec y)
{
  State         *state = Of(pc);
  PetscErrorCode code;
  PetscFunctionBegin;
  if (state->wraps && !state->inner) { /* a context that has come after PCSetUp */
    PetscCall(Entered(state, state->apply(pc, x, y)));
    PetscFunctionReturn(0);
  }
  PetscCall((state->wraps ? ApplyWrapped : Sweep)(state, pc, x, y));
  if (state->countdown && !--state->countdown) {
    if (state->running) PetscCall(Watch(state));
    else {
      state->swept = 1;
      code         = state->apply(pc, x, y);
      state->swept = 0;
      PetscCall(code);
    }
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode ApplyTranspose(PC pc, Vec x, Vec y)
{
  State *state = Of(pc);
  PetscFunctionBegin;
  state->transposed = 1;
  PetscCall(Entered(state, state->applytranspose(pc, x, y)));
  PetscFunctionReturn(0);
}

/* As Wrapped.set_up, where solves are all set up for. */
static PetscErrorCode SetUpWrapped(State *state, PC pc)
{
  PetscLogDouble began, now;
  PC             inner = state->inner;
  int64_t        left  = state->left;
  PetscFunctionBegin;
  PetscCall(PetscTime(&began));
  state->inner = NULL; /* until it is set up, which may end in an error */
  state->left  = 0;
  PetscCall(PCSetReusePreconditioner(inner, PETSC_FALSE));
  PetscCall(PCSetOperators(inner, pc->mat, pc->pmat));
  PetscCall(PCSetUp(inner));
  PetscCall(PCSetUpOnBlocks(inner));
  state->inner = inner;
  state->left  = left;
  PetscCall(PassOnFailure(state, pc));
  PetscCall(PetscTime(&now));
  state->set_up = now - began;
  state->fresh  = 1;
  PetscFunctionReturn(0);
}

static PetscErrorCode SetUp(PC pc)
{
  State      *state = Of(pc);
  const char *kind;
  PetscFunctionBegin;
  if (state->wraps) {
    if (state->left > 0 && state->inner) PetscCall(SetUpWrapped(state, pc));
    else PetscCall(Entered(state, state->setup(pc)));
    PetscFunctionReturn(0);
  }
  PetscCall(MatGetType(pc->pmat, &kind));
  if (!kind || strcmp(kind, state->kind)) PetscCall(Entered(state, state->setup(pc)));
  PetscFunctionReturn(0);
}

/* rho of the one row, if that is still the row it was. */
static PetscErrorCode Rho(State *state, Mat P, double *rho, PetscBool *found)
{
  PetscInt           rows, columns, j;
  const PetscInt    *column;
  const PetscScalar *value;
  double             sum = 0.0;
  PetscFunctionBegin;
  *found = PETSC_FALSE;
  if (!strcmp(((PetscObject)P)->type_name, MATMPIAIJ)) PetscCall(MatGetDiagonalBlock(P, &P));
  if (strcmp(((PetscObject)P)->type_name, MATSEQAIJ)) PetscFunctionReturn(0);
  PetscCall(MatGetSize(P, &rows, NULL));
  if (rows != state->rows) PetscFunctionReturn(0);
  PetscCall(MatGetRow(P, (PetscInt)state->row, &columns, &column, &value));
  if (state->place < columns && column[state->place] == state->row && PetscRealPart(value[state->place]) != 0.0) {
    for (j = 0; j < columns; j++) sum += PetscRealPart(value[j]);
    *rho   = 1.0 - sum / PetscRealPart(value[state->place]);
    *found = PETSC_TRUE;
  }
  PetscCall(MatRestoreRow(P, (PetscInt)state->row, &columns, &column, &value));
  PetscFunctionReturn(0);
}

/* Omega for another rho, as Course.at and Standing.follow; where it can't follow, it `stands` or takes a decision. */
static void Move(State *state, double rho, PetscBool stands, PetscBool *known)
{
  double slope = PetscMax(rho, 0.0) * state->scale, gap = 1.0 - slope * slope;
  double shift = state->weight * log((gap + state->epsilon) / (state->gap + state->epsilon));
  double u     = PetscMin(state->u + shift, state->u_high);
  if (!(gap >= 0.0 && PetscAbsReal(shift) <= state->farthest && u >= state->u_low)) *known = stands;
  else if (!(u >= state->u_least && u < state->u_most)) *known = PETSC_FALSE;
  else {
    state->rho    = rho;
    state->chosen = 2.0 / (1.0 + exp(u));
    state->drift  = state->u - u;
  }
}

/* What a process says before a solve that may repeat a decision; the largest count. */
enum { REFUSES, CHANGED, UNREADABLE, RHO, WORDS };

/* Move omega to where the matrix is now; `known` is whether that took no decision, for all processes alike. */
static PetscErrorCode Follow(State *state, Mat P, PetscBool willing, PetscBool *known)
{
  PetscObjectId    id;
  PetscObjectState now;
  PetscMPIInt      size;
  double           say[WORDS] = {!willing, 0.0, 0.0, state->here};
  PetscBool        found      = PETSC_TRUE, stands = (PetscBool)(state->left > state->patience);
  PetscFunctionBegin;
  PetscCall(PetscObjectGetId((PetscObject)P, &id));
  PetscCall(PetscObjectStateGet((PetscObject)P, &now));
  say[CHANGED] = id != state->matrix || now != state->matrix_state;
  if (state->row == -2) say[RHO] = PETSC_MIN_REAL;
  else if (say[CHANGED] != 0.0 && state->row >= 0) PetscCall(Rho(state, P, &say[RHO], &found));
  say[UNREADABLE] = !found || state->row == -1;
  PetscCallMPI(MPI_Comm_size(PetscObjectComm((PetscObject)P), &size));
  if (size > 1)
    PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, say, WORDS, MPI_DOUBLE, MPI_MAX, PetscObjectComm((PetscObject)P)));
  *known = (PetscBool)(say[REFUSES] == 0.0);
  if (!*known || say[CHANGED] == 0.0) PetscFunctionReturn(0);
  if (say[UNREADABLE] != 0.0) *known = stands;
  else if (say[RHO] != state->rho) Move(state, say[RHO], stands, known);
  PetscFunctionReturn(0);
}

static PetscBool Known(State *state, KSP ksp)
{
  PetscObjectId id;
  return (PetscBool)(!PetscObjectGetId((PetscObject)ksp, &id) && id == state->solver && ksp->normtype == state->norm &&
                     (void *)ksp->converged == state->test);
}

/* Whether a failed solve would be repeated with another omega. */
static PetscBool Repairs(State *state)
{
  return (PetscBool)(state->repairable && (state->chosen != state->safe || state->fallback != state->safe));
}

/* As Rescue.prepare, and Lent.begin. */
static PetscErrorCode Prepare(State *state, KSP ksp, Vec x)
{
  double    rtol = ksp->rtol, atol = ksp->abstol;
  PetscBool tightened, lenient;
  PetscFunctionBegin;
  ksp->its          = 0; /* BiCGStab preconditions its first residual before it says so */
  state->ksp        = ksp;
  state->omega      = state->last = state->chosen;
  state->running    = 1;
  state->limited    = state->transposed = 0;
  state->fresh      = state->applications = 0;
  if (rtol >= 0.0 && rtol < 1.0) ksp->rtol = PetscMax(rtol * state->tighten_rtol, PetscMin(rtol, state->least_rtol));
  if (atol >= 0.0) ksp->abstol *= state->tighten_atol;
  tightened        = (PetscBool)(ksp->rtol != rtol || ksp->abstol != atol);
  state->countdown = tightened || state->limit;
  if (Repairs(state) && !ksp->guess_zero) PetscCall(VecCopy(x, state->guess));
  lenient = (PetscBool)(Repairs(state) && ksp->errorifnotconverged);
  if (tightened || lenient) PetscCall(sorlearn_lend(&state->loan, ksp, rtol, atol, lenient));
  PetscCall(PetscTime(&state->began));
  PetscFunctionReturn(0);
}

static PetscErrorCode PreSolve(PC pc, KSP ksp, Vec b, Vec x)
{
  State    *state = Of(pc);
  PetscBool known = PETSC_FALSE;
  PetscFunctionBegin;
  if (Delegates(ksp)) PetscFunctionReturn(0);
  if (Known(state, ksp)) {
    if (state->holds) PetscFunctionReturn(0);
    if (state->left > 0) {
      known = (PetscBool)(!state->running && (state->wraps || ksp->rtol <= LOOSE));
      if (state->idle && state->solves + state->idle >= KEPT) known = PETSC_FALSE; /* there is no room for another */
      if (!state->wraps) PetscCall(Follow(state, pc->pmat, known, &known));
      else {
        PetscCall(PCSetUp(pc)); /* KSP leaves it to the first application where the matrix has changed in place */
        known = (PetscBool)(known && state->fresh && !pc->reusepreconditioner);
      }
    }
    if (Repairs(state) && !ksp->guess_zero && !state->guess) known = PETSC_FALSE;
  }
  if (known) PetscCall(Prepare(state, ksp, x));
  else PetscCall(Entered(state, state->presolve(pc, ksp, b, x)));
  PetscFunctionReturn(0);
}

/* Whether an answer may have passed a test that is far more lenient than the user's, as Rescue._passes_easily. */
static PetscErrorCode PassesEasily(State *state, KSP ksp, Vec x, PetscBool *easily)
{
  PetscReal length;
  PetscFunctionBegin;
  *easily = PETSC_FALSE;
  if (state->easy == 0.0 || !ksp->guess_zero || ksp->res_hist_len != 1 || state->omega == state->safe)
    PetscFunctionReturn(0);
  PetscCall(VecNorm(x, NORM_2, &length));
  *easily = (PetscBool)(ksp->res_hist[0] > pow(10.0, state->easy) * length);
  PetscFunctionReturn(0);
}

static PetscErrorCode PostSolve(PC pc, KSP ksp, Vec b, Vec x)
{
  State         *state = Of(pc);
  PetscLogDouble now;
  PetscBool      idle, good, easily = PETSC_FALSE;
  int64_t        last;
  PetscFunctionBegin;
  if (Delegates(ksp) || (state->holds && Known(state, ksp))) PetscFunctionReturn(0);
  if (state->running) {
    if (ksp != state->ksp) PetscFunctionReturn(0); /* inside the solve under way: Chebyshev's estimate */
    PetscCall(PetscTime(&now));
    state->elapsed = now - state->began + state->set_up;
    PetscCall(sorlearn_give_back(&state->loan));
    state->ksp = NULL;
    idle = (PetscBool)(!ksp->its && !state->wraps);
    good = (PetscBool)(ksp->reason > 0 && ksp->reason < 5 && !(state->limited && ksp->reason == KSP_CONVERGED_ITS) &&
                       (idle || Like(state, ksp->its)));
    if (good && !idle) PetscCall(PassesEasily(state, ksp, x, &easily));
    if (good && !easily) {
      state->running = state->countdown = 0;
      last           = state->solves + state->idle;
      if (last < KEPT) {
        state->kept[last].omega        = state->omega;
        state->kept[last].seconds      = state->elapsed;
        state->kept[last].iterations   = ksp->its;
        state->kept[last].reason       = ksp->reason;
        state->kept[last].applications = state->applications;
      }
      if (idle) state->idle++;
      else {
        state->left--;
        state->solves++;
      }
      state->iterations += ksp->its;
      state->seconds += state->elapsed;
      state->omega = state->safe; /* until the next solve, as configured */
      PetscFunctionReturn(0);
    }
  }
  PetscCall(Entered(state, state->postsolve(pc, ksp, b, x)));
  PetscFunctionReturn(0);
}

/* Stand in for petsc4py's operations; not collective. */
PetscErrorCode sorlearn_attach(PC pc, State *state)
{
  PetscFunctionBegin;
  if (Of(pc) == state) PetscFunctionReturn(0);
  state->pc             = pc;
  state->setup          = pc->ops->setup;
  state->apply          = pc->ops->apply;
  state->applytranspose = pc->ops->applytranspose;
  state->presolve       = pc->ops->presolve;
  state->postsolve      = pc->ops->postsolve;
  state->next           = first;
  first                 = state;
  pc->ops->setup          = SetUp;
  pc->ops->apply          = Apply;
  pc->ops->applytranspose = ApplyTranspose;
  pc->ops->presolve       = PreSolve;
  pc->ops->postsolve      = PostSolve;
  PetscFunctionReturn(0);
}

PetscErrorCode sorlearn_detach(PC pc, State *state)
{
  PetscFunctionBegin;
  if (Of(pc) != state) PetscFunctionReturn(0);
  first                   = state->next;
  pc->ops->setup          = state->setup;
  pc->ops->apply          = state->apply;
  pc->ops->applytranspose = state->applytranspose;
  pc->ops->presolve       = state->presolve;
  pc->ops->postsolve      = state->postsolve;
  PetscFunctionReturn(0);
}

/* The turn in an outer KSP; the one asked for last comes first. */
static Turn *TurnIn(KSP outer)
{
  for (Turn **place = &first_turn, *turn; (turn = *place); place = &turn->next)
    if (turn->outer == outer) {
      *place            = turn->next;
      turn->next        = first_turn;
      return first_turn = turn;
    }
  return NULL;
}

/* Whether the user's test, in norms that the preconditioner has no part in, can be put to answers here. */
static PetscBool Judges(KSP ksp)
{
  MatNullSpace null, transposed;
  Mat          A;
  if (KSPGetOperators(ksp, &A, NULL)) return PETSC_FALSE;
  if (MatGetNullSpace(A, &null) || MatGetTransposeNullSpace(A, &transposed)) return PETSC_FALSE;
  return (PetscBool)(!null && !transposed);
}

/* Whether the KSP's test is PETSc's own, and another one's with the same tolerances would say the same. */
static PetscBool Plain(Turn *turn, KSP ksp)
{
  const KSPConvergedDefaultCtx *asks  = (const KSPConvergedDefaultCtx *)ksp->cnvP;
  PetscInt                      least = 0;
  if (turn->minimum && turn->minimum(ksp, &least)) return PETSC_FALSE;
  return (PetscBool)(ksp->converged == KSPConvergedDefault && asks && !asks->initialrtol && !asks->mininitialrtol &&
                     !asks->convmaxits && !least);
}

/* Whether a negative curvature ends the inner KSP's solve as it would the outer one's. */
static PetscBool CurvesAlike(Turn *turn)
{
  PetscBool outer = PETSC_FALSE, inner = PETSC_FALSE;
  if (turn->curvature && (turn->curvature(turn->outer, &outer) || turn->curvature(turn->inner, &inner)))
    return PETSC_FALSE;
  return (PetscBool)(outer == inner);
}

/* Whether nothing has changed that Python would have to look at, and nobody listens. */
static PetscBool Goes(Turn *turn)
{
  KSP ksp = turn->outer;
  return (PetscBool)(turn->left > 0 && (!turn->judge || (Judges(ksp) && ksp->rtol <= LOOSE)) &&
                     !ksp->transpose_solve && !ksp->numbermonitors && !ksp->res_hist && (int64_t)ksp->normtype == turn->norm && (int64_t)ksp->pc_side == turn->side &&
                     ksp->pc == turn->pc && Plain(turn, ksp) && CurvesAlike(turn) &&
                     ksp->calc_sings == turn->inner->calc_sings && ksp->pc->dm == turn->inner->pc->dm &&
                     ksp->rtol >= 0.0 && ksp->rtol < 1.0 && ksp->abstol >= 0.0 && ksp->divtol >= 0.0 &&
                     ksp->max_it >= 0);
}

/* The digits that the answer lacks, as Answers._judge. */
static PetscErrorCode Judge(Turn *turn, double *lacks)
{
  KSP       ksp = turn->outer;
  Mat       A;
  PetscReal asked, size, left;
  PetscFunctionBegin;
  PetscCall(KSPGetOperators(ksp, &A, NULL));
  PetscCall(MatMult(A, ksp->vec_sol, turn->judge));
  PetscCall(VecAYPX(turn->judge, -1.0, ksp->vec_rhs));
  PetscCall(VecNorm(turn->judge, NORM_2, &left));
  PetscCall(VecNorm(ksp->vec_rhs, NORM_2, &size));
  asked = PetscMax(ksp->rtol * size, ksp->abstol);
  if (PetscIsInfOrNanReal(left)) turn->inner->reason = KSP_DIVERGED_NANORINF;
  else if (left > 0.0 && asked > 0.0 && size > 0.0) *lacks = log10(left / asked);
  PetscFunctionReturn(0);
}

/* Have Python solve from where this solve began. */
static PetscErrorCode Anew(Turn *turn)
{
  KSP ksp = turn->outer;
  PetscFunctionBegin;
  if (ksp->guess_zero) PetscCall(VecSet(ksp->vec_sol, 0.0));
  else PetscCall(VecCopy(turn->guess, ksp->vec_sol));
  PetscCall(turn->solve(ksp));
  PetscFunctionReturn(0);
}

/* An arm's error leaves it out, in Python: PETSc's own handler would print, and abort all ranks but the first. */
static PetscErrorCode OnRefusal(MPI_Comm comm, int line, const char *function, const char *file, PetscErrorCode code,
                                PetscErrorType type, const char *message, void *context)
{
  (void)comm, (void)line, (void)function, (void)file, (void)type, (void)message, (void)context;
  return code;
}

/* Leave no more than so many locks for reading on a vector, as locks.unlocking. */
static PetscErrorCode Unlock(Vec v, PetscInt left)
{
  PetscInt locks;
  PetscFunctionBegin;
  (void)v;
  PetscCall(VecLockGet(v, &locks));
  for (; locks > left; locks--) PetscCall(VecLockReadPop(v));
  PetscFunctionReturn(0);
}

/* As KSP.solve_with and Arm.set_up. */
static PetscErrorCode SolveInTurn(KSP outer)
{
  Turn          *turn  = TurnIn(outer);
  KSP            inner = turn->inner;
  Mat            A, P;
  PetscLogDouble began, now;
  PetscInt       b_locks, x_locks, levels;
  PetscErrorCode code;
  double         lacks;
  PetscFunctionBegin;
  if (!Goes(turn)) {
    PetscCall(turn->solve(outer));
    PetscFunctionReturn(0);
  }
  PetscCall(PetscTime(&began));
  PetscCall(KSPGetOperators(outer, &A, &P));
  PetscCall(KSPSetOperators(inner, A, P));
  PetscCall(PCSetReusePreconditioner(inner->pc, outer->pc->reusepreconditioner));
  PetscCall(KSPSetInitialGuessNonzero(inner, (PetscBool)!outer->guess_zero));
  if (turn->judge && !outer->guess_zero) PetscCall(VecCopy(outer->vec_sol, turn->guess));
  inner->rtol   = outer->rtol * turn->scale;
  inner->abstol = outer->abstol * turn->scale;
  inner->divtol = outer->divtol;
  inner->max_it = outer->max_it;
  PetscCall(VecLockGet(outer->vec_rhs, &b_locks));
  PetscCall(VecLockGet(outer->vec_sol, &x_locks));
  levels = inner->pc->presolvedone - (inner->pc == outer->pc);
  if (turn->judge) PetscCall(PetscPushErrorHandler(OnRefusal, NULL));
  code = KSPSolve(inner, outer->vec_rhs, outer->vec_sol);
  if (turn->judge) PetscCall(PetscPopErrorHandler());
  if (code) inner->pc->presolvedone = levels; /* as levels.leaving */
  if (code && turn->judge) {
    PetscCall(Unlock(outer->vec_rhs, b_locks));
    PetscCall(Unlock(outer->vec_sol, x_locks));
    turn->left  = 0;
    turn->error = code;
    turn->fetch(turn->exception, turn->exception + 1, turn->exception + 2);
    PetscCall(Anew(turn));
    PetscFunctionReturn(0);
  }
  if (code) {
    outer->pc->presolvedone -= inner->pc != outer->pc; /* as levels.left_by_error */
    turn->left   = 0;
    outer->its   = inner->its;
    outer->rnorm = inner->rnorm;
  }
  PetscCall(code);
  lacks = turn->lacks;
  if (turn->judge && inner->reason > 0) PetscCall(Judge(turn, &lacks));
  PetscCall(PetscTime(&now));
  if (turn->judge && !(inner->reason > 0 && lacks <= turn->lenient)) {
    turn->left            = 0;
    turn->lost            = inner->reason;
    turn->lost_iterations = inner->its;
    turn->lost_seconds    = now - began;
    turn->lost_lacks      = lacks;
    PetscCall(Anew(turn));
    outer->its += turn->lost_iterations;
    PetscFunctionReturn(0);
  }
  outer->its    = inner->its;
  outer->rnorm  = inner->rnorm;
  outer->reason = inner->reason;
  turn->left    = inner->reason > 0 && inner->its <= turn->most ? turn->left - 1 : 0;
  turn->lacks   = PetscMax(turn->lacks, lacks);
  turn->solves++;
  turn->iterations += inner->its;
  turn->seconds += now - began;
  PetscFunctionReturn(0);
}

/* Stand in for petsc4py's solve; not collective. */
PetscErrorCode sorlearn_take_turns(KSP outer, Turn *turn)
{
  PetscFunctionBegin;
  turn->outer       = outer;
  turn->solve       = outer->ops->solve;
  turn->next        = first_turn;
  first_turn        = turn;
  outer->ops->solve = SolveInTurn;
  PetscFunctionReturn(0);
}

PetscErrorCode sorlearn_end_turns(KSP outer, Turn *turn)
{
  PetscFunctionBegin;
  if (TurnIn(outer) != turn) PetscFunctionReturn(0);
  first_turn        = turn->next;
  outer->ops->solve = turn->solve;
  PetscFunctionReturn(0);
}
