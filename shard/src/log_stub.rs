//! stub
#![allow(missing_docs, clippy::all)]
use crate::io::*;
use crate::shard::ShardFloor;
use crate::types::*;
#[derive(Debug)]
pub struct Fatal;
pub struct Log<P: BlockPool>(std::marker::PhantomData<P>);
impl<P: BlockPool> Log<P> {
    pub fn append(&mut self, _r: &[u8]) -> BatchNumber {
        BatchNumber(1)
    }
    pub fn durable(&self) -> BatchNumber {
        BatchNumber(1)
    }
    pub fn appended(&self) -> BatchNumber {
        BatchNumber(1)
    }
    pub fn close_batch(&mut self, _n: u64) {}
    pub fn next_io(&mut self) -> Option<IoRequest<P>> {
        None
    }
    pub fn on_io(&mut self, _d: IoDone<P>) -> Result<(), Fatal> {
        Ok(())
    }
    pub fn tick(&mut self, _n: u64) {}
    pub fn publish_floor(&mut self, _f: &[ShardFloor]) {}
}
