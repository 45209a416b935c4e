//! What the programs cost the verifier, against what they may cost: a program that grows unseen is one day refused by an older kernel.

use anyhow::{Context, Result, bail};
use aya::programs::Program;
use aya_obj::generated::bpf_insn;
use aya_obj::{Function, Object};
use l4::programs;

/// One program and its limits.
pub struct Budget {
    /// Its name.
    pub name: &'static str,
    object: &'static [u8],
    /// Instructions that the verifier may walk through; a kernel refuses at a million.
    pub verified_max: u32,
    /// Bytes of stack; a kernel refuses above 512.
    pub stack_max: u32,
}

/// What a program takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Instructions that the verifier walked through.
    pub verified: u32,
    /// Instructions that there are.
    pub instructions: u32,
    /// Bytes of stack, of the two functions that take most of it: none calls one that calls another.
    pub stack: u32,
}

/// Programs, and functions that they alone call: one is not the cost of another that is built into the same object. (`(program, function)`)
const OWN: [(&str, &str); 14] = [
    // Of debug builds, and of no program that is measured.
    ("log", "read"),
    ("log", "say"),
    ("balance", "balance"),
    ("balance", "long"),
    ("balance", "count_end"),
    ("balance", "service_by_hash"),
    ("balance", "listed"),
    ("balance", "over_limits"),
    ("probe", "probe"),
    ("hop", "hop"),
    ("decapsulate", "decapsulate"),
    ("redirect", "redirect"),
    ("lookup", "lookup"),
    ("choose", "choose"),
];

/// All programs.
pub fn budgets() -> [Budget; 7] {
    [
        // The straight way and the long one are two programs to the verifier. Linux 6.1's walks through almost three times of what 6.18's does,
        // because it forgets the bounds of numbers that were laid down on the stack.
        Budget { name: "balance", object: programs::BALANCER, verified_max: 600_000, stack_max: 512 },
        Budget { name: "probe", object: programs::BALANCER, verified_max: 50_000, stack_max: 384 },
        Budget { name: "hop", object: programs::BALANCER, verified_max: 1_000, stack_max: 256 },
        Budget { name: "decapsulate", object: programs::ORIGIN, verified_max: 450_000, stack_max: 512 },
        Budget { name: "redirect", object: programs::REDIRECT, verified_max: 1_000, stack_max: 128 },
        Budget { name: "lookup", object: programs::STEER, verified_max: 1_000, stack_max: 128 },
        Budget { name: "choose", object: programs::STEER, verified_max: 1_000, stack_max: 128 },
    ]
}

impl Budget {
    /// Load the program into this kernel and see.
    #[expect(clippy::wildcard_enum_match_arm, reason = "we have four of thirty kinds")]
    pub fn measure(&self) -> Result<Cost> {
        let object = Object::parse(self.object)?;
        // Its own, and those that all programs of the object may call. The compiler may put a program's inside into a function of its own, whose
        // long name ends with the program's.
        let is_other = |function: &&Function| OWN.iter().any(|(program, name)| *program != self.name && function.name.ends_with(name));
        let functions = object.functions.values().filter(|function| !is_other(function));
        let mut stacks: Vec<u32> = functions.clone().map(|function| stack(&function.instructions)).collect();
        stacks.sort_unstable();
        let stack = stacks.iter().rev().take(2).sum();
        let instructions = functions.map(|function| function.instructions.len()).sum::<usize>();
        let mut ebpf = programs::loader().load(self.object).context("loading needs root")?;
        let program = ebpf.program_mut(self.name).context("it is not in its object")?;
        match program {
            Program::Xdp(program) => program.load()?,
            Program::SkLookup(program) => program.load()?,
            Program::SkSkb(program) => program.load()?,
            Program::SkReuseport(program) => program.load()?,
            _ => bail!("it is of a kind that nothing is known of"),
        }
        let verified = program.info()?.verified_instruction_count().context("the kernel does not say")?;
        Ok(Cost { verified, instructions: u32::try_from(instructions)?, stack })
    }

    /// Does it stay below its limits?
    pub fn holds(&self, cost: Cost) -> bool {
        cost.verified <= self.verified_max && cost.stack <= self.stack_max
    }
}

const FRAME: u8 = 10;
const CLASS: u8 = 7;
/// Loads and stores through memory.
const MEMORY: [u8; 3] = [1, 2, 3];
/// `r = r` and `r += constant`, 64 bits wide.
const MOVE: u8 = 0xbf;
const ADD: u8 = 0x07;

/// The deepest byte that a function reaches below its frame, in words of eight bytes.
fn stack(instructions: &[bpf_insn]) -> u32 {
    let mut deepest = 0_i64;
    let mut of_frame = [false; 16];
    for instruction in instructions {
        let (to, from) = (instruction.dst_reg(), instruction.src_reg());
        let class = instruction.code & CLASS;
        if MEMORY.contains(&class) {
            let base = if class == 1 { from } else { to };
            if base == FRAME {
                deepest = deepest.min(i64::from(instruction.off));
            }
        }
        match instruction.code {
            ADD if of_frame[usize::from(to & 15)] => deepest = deepest.min(i64::from(instruction.imm)),
            _ => {}
        }
        of_frame[usize::from(to & 15)] = instruction.code == MOVE && from == FRAME;
    }
    u32::try_from((-deepest + 7) / 8 * 8).unwrap_or(u32::MAX)
}
