//! What comes from outside is measured at the door. Replies are not: they are always accepted.

use sagalog_model::Payload;
use sagalog_projections::sequence::Sequences;

use crate::{
    decide::Refusal,
    input::{Request, SagaInput, Wish},
    rules::Rules,
};

impl Rules {
    pub(crate) fn within_bounds(&self, told: &SagaInput) -> Result<(), Refusal> {
        match told {
            SagaInput::Reply(_)
            | SagaInput::TimerFired { .. }
            | SagaInput::Admitted { .. }
            | SagaInput::Hold(_) => Ok(()),
            SagaInput::Signal { id, payload, .. } => {
                self.id_within_bounds(id)?;
                self.payload_within_bounds(payload)
            }
            SagaInput::Numbered(numbered) => {
                let number = numbered.number;
                if !(1..=Sequences::NUMBER_MAX).contains(&number) {
                    return Err(Refusal::BadNumber { number });
                }
                self.id_within_bounds(&numbered.producer)?;
                self.payload_within_bounds(&numbered.payload)
            }
            SagaInput::Request(request) => self.request_within_bounds(request),
        }
    }

    fn request_within_bounds(&self, request: &Request) -> Result<(), Refusal> {
        self.id_within_bounds(&request.id)?;
        self.id_within_bounds(&request.by)?;
        match &request.wish {
            Wish::Retry { reason: None, .. }
            | Wish::Resume
            | Wish::Release { content: None, .. } => Ok(()),
            Wish::Retry {
                reason: Some(reason),
                ..
            } => size(reason.len(), self.payload_max),
            Wish::Resolve { output, .. }
            | Wish::Release {
                content: Some(output),
                ..
            } => self.payload_within_bounds(output),
            Wish::Cancel { reason }
            | Wish::Compensate { reason }
            | Wish::Pause { reason }
            | Wish::SetDeadline { reason, .. }
            | Wish::Skip { reason, .. }
            | Wish::Drop { reason, .. } => size(reason.len(), self.payload_max),
        }
    }

    pub(super) fn payload_within_bounds(&self, payload: &Payload) -> Result<(), Refusal> {
        size(payload.as_str().len(), self.payload_max)
    }

    pub(super) fn id_within_bounds(&self, id: &str) -> Result<(), Refusal> {
        let (bytes, max) = (id.len(), self.id_max);
        if (1..=max).contains(&bytes) {
            Ok(())
        } else {
            Err(Refusal::IdLength { bytes, max })
        }
    }
}

pub(super) const fn size(bytes: usize, max: usize) -> Result<(), Refusal> {
    if bytes > max {
        Err(Refusal::PayloadTooLarge { bytes, max })
    } else {
        Ok(())
    }
}
